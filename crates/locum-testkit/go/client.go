package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"sync"
	"time"
)

// Check runs the named checks against a server, each on a connection of its own, and says of each
// PASS or FAIL; after a failure, also why and what went over the connection.
func check(arguments []string) {
	if len(arguments) < 2 {
		fail(usage)
	}
	mode, address, names := arguments[0], arguments[1], arguments[2:]
	for _, name := range names {
		run, known := checks(mode)[name]
		if !known {
			fail("there is no check " + name + " over " + mode)
		}
		peer, err := connect(mode, address)
		if err == nil {
			err = within(20*time.Second, func() error { return run(peer) })
			peer.client.Close()
		}
		if err == nil {
			fmt.Println("PASS", name)
			continue
		}
		fmt.Printf("FAIL %s: %v\n", name, err)
		if peer != nil {
			peer.wire.print()
		}
	}
	fmt.Println("DONE")
}

// A peer is one connection to a server.
type peer struct {
	mode   string
	client *rpc.Client
	wire   *recorded
}

func connect(mode, address string) (*peer, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	wire := &recorded{Conn: conn}
	switch mode {
	case "jsonrpc":
		return &peer{mode, jsonrpc.NewClient(wire), wire}, nil
	case "http":
		// As rpc.DialHTTP does it, which takes no connection.
		io.WriteString(wire, "CONNECT "+rpc.DefaultRPCPath+" HTTP/1.0\n\n")
		answer, err := http.ReadResponse(bufio.NewReader(wire), &http.Request{Method: "CONNECT"})
		if err == nil && answer.Status != "200 Connected to Go RPC" {
			err = errors.New("CONNECT is answered by " + answer.Status)
		}
		if err != nil {
			return &peer{mode, nil, wire}, err
		}
	}
	return &peer{mode, rpc.NewClient(wire), wire}, nil
}

// Want calls a method and compares what it returns.
func want[T any](p *peer, method string, args any, expected T) error {
	var reply T
	if err := p.client.Call(method, args, &reply); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return same(method, meaning(expected), meaning(reply))
}

// WantError calls a method and compares how it fails; an empty text stands for any.
func wantError(p *peer, method string, args any, text string) error {
	var reply any = new(int)
	if p.mode == "jsonrpc" {
		reply = new(any)
	}
	switch err := p.client.Call(method, args, reply); {
	case err == nil:
		return fmt.Errorf("%s: no error", method)
	case text == "":
		if _, isTheServers := err.(rpc.ServerError); !isTheServers {
			return fmt.Errorf("%s: not an answer: %w", method, err)
		}
		return nil
	default:
		return same(method, text, err.Error())
	}
}

func same(what, want, have string) error {
	if want != have {
		return fmt.Errorf("%s: want %.2000s, have %.2000s", what, want, have)
	}
	return nil
}

func all(results ...error) error {
	for _, err := range results {
		if err != nil {
			return err
		}
	}
	return nil
}

func within(patience time.Duration, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("not over after %v", patience)
	}
}

// Recorded keeps the first bytes of both directions.
type recorded struct {
	net.Conn
	lock       sync.Mutex
	sent, read []byte
}

const kept = 4096

func (r *recorded) Read(buffer []byte) (int, error) {
	n, err := r.Conn.Read(buffer)
	r.keep(&r.read, buffer[:n])
	return n, err
}

func (r *recorded) Write(bytes []byte) (int, error) {
	r.keep(&r.sent, bytes)
	return r.Conn.Write(bytes)
}

func (r *recorded) keep(record *[]byte, bytes []byte) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if room := kept - len(*record); room < len(bytes) {
		bytes = bytes[:room]
	}
	*record = append(*record, bytes...)
}

func (r *recorded) print() {
	r.lock.Lock()
	defer r.lock.Unlock()
	fmt.Printf("  sent %s\n  read %s\n", hex.EncodeToString(r.sent), hex.EncodeToString(r.read))
}
