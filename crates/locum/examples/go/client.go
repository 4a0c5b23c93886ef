// Calls the Arith in ../arith_gob.rs, as it would call Go's:
//
//	go run client.go 127.0.0.1:1234
package main

import (
	"fmt"
	"log"
	"net/rpc"
	"os"
)

type Args struct{ A, B int }

type Quotient struct{ Quo, Rem int }

func main() {
	client, err := rpc.Dial("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	var product int
	if err := client.Call("Arith.Multiply", &Args{7, 8}, &product); err != nil {
		log.Fatal(err)
	}
	fmt.Println("7 * 8 =", product)

	var quotient Quotient
	call := client.Go("Arith.Divide", &Args{17, 5}, &quotient, nil)
	if err := (<-call.Done).Error; err != nil {
		log.Fatal(err)
	}
	fmt.Println("17 / 5 =", quotient.Quo, "remainder", quotient.Rem)

	err = client.Call("Arith.Divide", &Args{1, 0}, &quotient)
	fmt.Println("1 / 0:", err)
}
