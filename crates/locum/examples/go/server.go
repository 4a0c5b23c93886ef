// An Arith of Go's, for the client in ../arith_gob.rs:
//
//	go run server.go 127.0.0.1:1234
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
)

type Args struct{ A, B int }

type Quotient struct{ Quo, Rem int }

type Arith struct{}

func (Arith) Multiply(args *Args, reply *int) error {
	*reply = args.A * args.B
	return nil
}

func (Arith) Divide(args *Args, quotient *Quotient) error {
	if args.B == 0 {
		return errors.New("divide by zero")
	}
	quotient.Quo = args.A / args.B
	quotient.Rem = args.A % args.B
	return nil
}

func main() {
	if err := rpc.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	rpc.Accept(listener)
}
