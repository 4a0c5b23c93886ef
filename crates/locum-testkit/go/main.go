// Peer is a real Go at the other end of a connection: a net/rpc server, a net/rpc client that
// checks what it is answered, many of them at once, and a writer of gob corpora. It needs the standard library alone.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: peer server MODE ADDRESS
       peer client MODE ADDRESS CHECK...
       peer checks MODE
       peer load MODE ADDRESS CONNECTIONS CALLERS CALLS
       peer corpus

MODE is gob, http (gob after a CONNECT), jsonrpc, or cancel (gob, and calls can be cancelled).
CALLERS are on each of the CONNECTIONS, and each makes so many CALLS; with 0, until the standard
input is closed.`

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	switch arguments := os.Args[2:]; os.Args[1] {
	case "server":
		serve(arguments)
	case "client":
		check(arguments)
	case "checks":
		list(arguments)
	case "load":
		load(arguments)
	case "corpus":
		capture()
	default:
		fail(usage)
	}
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}
