@0xb7c1e1d4f0a96c55;

interface Bench {
  multiply @0 (a :Int64, b :Int64) -> (c :Int64);
  echo @1 (bytes :Data) -> (bytes :Data);
}
