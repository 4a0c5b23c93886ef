namespace rs bench

struct Args {
    1: required i64 a,
    2: required i64 b,
}

service Bench {
    i64 multiply(1: Args args),
    binary echo(1: binary bytes),
}
