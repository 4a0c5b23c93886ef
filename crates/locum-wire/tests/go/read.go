// Read decodes a gob stream whose values it knows, and says them as JSON, a line each.
package main

import (
	"encoding/gob"
	"encoding/json"
	"math/big"
	"os"
	"time"
)

type Outer struct {
	A int
	V any
	Z int
}

type Mid struct {
	M any
	N []any
	K string
}

type In struct {
	X map[string]int
	Y any
}

type Leaf struct{ L []float64 }

type Ring struct {
	Name string
	Next *Ring
	More map[int]Ring
}

type Args struct {
	A, Z  int
	U     uint64
	F     float64
	Yes   bool
	S     []string
	T     *Args
	Bytes []byte
	At    time.Time
	Big   *big.Int
	Pair  [2]int
}

func main() {
	for _, value := range []any{Outer{}, Mid{}, In{}, Leaf{}} {
		gob.Register(value)
	}
	decoder := gob.NewDecoder(os.Stdin)
	encoder := json.NewEncoder(os.Stdout)
	for _, value := range []any{new(Outer), new(Outer), new(map[string]any), new(Ring), new(Args), new([]Args), new(Args), new(float64)} {
		if err := decoder.Decode(value); err != nil {
			panic(err)
		}
		if err := encoder.Encode(value); err != nil {
			panic(err)
		}
	}
}
