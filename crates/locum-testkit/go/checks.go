package main

import (
	"fmt"
	"net"
	"net/rpc"
	"os"
	"reflect"
	"sort"
	"strings"
	"sync/atomic"
	"time"
)

// Checks are what a client checks of a server: all of them, as far as the mode can carry them.
func checks(mode string) map[string]func(*peer) error {
	checks := map[string]func(*peer) error{
		"arith":      arith,
		"echo":       echoes,
		"large":      large,
		"unknown":    unknown,
		"fail":       failures,
		"panic":      panics,
		"order":      order,
		"in-flight":  inFlight,
		"half-close": halfClose,
	}
	if mode != "jsonrpc" {
		checks["bad-body"] = badBody
		checks["types"] = types
		checks["cancel"] = cancel
	}
	for _, kind := range kinds {
		kind := kind
		if kind.json || mode != "jsonrpc" {
			checks["zoo."+kind.name] = func(p *peer) error { return zoo(p, kind) }
		}
	}
	return checks
}

// List prints the names of the checks.
func list(arguments []string) {
	if len(arguments) != 1 {
		fail(usage)
	}
	var names []string
	for name := range checks(arguments[0]) {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Println(strings.Join(names, "\n"))
}

func arith(p *peer) error {
	for a := 0; a < 100; a++ {
		err := all(
			want(p, "Arith.Multiply", Args{a, -a}, -a*a),
			want(p, "Arith.Divide", Args{a, 7}, Quotient{a / 7, a % 7}),
		)
		if err != nil {
			return err
		}
	}
	return wantError(p, "Arith.Divide", Args{1, 0}, "divide by zero")
}

func echoes(p *peer) error {
	return all(
		want(p, "Echo.Text", "", ""),
		want(p, "Echo.Text", "grüße", "grüße"),
		want(p, "Echo.Number", 0, 0),
		want(p, "Echo.Number", -1<<63, -1<<63),
		want(p, "Echo.Bytes", []byte{0, 255}, []byte{0, 255}),
		want(p, "Echo.Numbers", []int{7, 0, -8}, []int{7, 0, -8}),
		want(p, "Echo.Numbers", []int{}, []int{}),
		want(p, "Echo.Table", map[int]int{7: 8, 0: 0}, map[int]int{7: 8, 0: 0}),
		want(p, "Echo.Nothing", Empty{}, Empty{}),
	)
}

// Zoo sends the kind twice: the second time its types are known.
func zoo(p *peer, kind kind) error {
	for i := 0; i < 2; i++ {
		reply := reflect.New(reflect.TypeOf(kind.value))
		if err := p.client.Call("Zoo."+kind.name, kind.value, reply.Interface()); err != nil {
			return err
		}
		if err := same(kind.name, meaning(kind.value), meaning(reply.Elem().Interface())); err != nil {
			return err
		}
	}
	return nil
}

// Large sends 8 MiB, and small calls around it.
func large(p *peer) error {
	bytes := make([]byte, 8<<20)
	for i := range bytes {
		bytes[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return all(
		want(p, "Arith.Multiply", Args{6, 7}, 42),
		want(p, "Echo.Bytes", bytes, bytes),
		want(p, "Arith.Multiply", Args{6, 7}, 42),
	)
}

func unknown(p *peer) error {
	return all(
		wantError(p, "Nobody.Knows", Args{1, 2}, "rpc: can't find service Nobody.Knows"),
		wantError(p, "Arith.Power", Args{1, 2}, "rpc: can't find method Arith.Power"),
		wantError(p, "Arith", Args{1, 2}, "rpc: service/method request ill-formed: Arith"),
		wantError(p, "A.B.Multiply", Args{1, 2}, "rpc: can't find service A.B.Multiply"),
		want(p, "Arith.Multiply", Args{6, 7}, 42),
	)
}

// BadBody sends arguments of the wrong type; the connection goes on.
func badBody(p *peer) error {
	type other struct{ C, D int }
	type wrong struct{ A, B string }
	return all(
		wantError(p, "Arith.Multiply", "no struct", ""),
		wantError(p, "Arith.Multiply", other{1, 2}, ""),
		wantError(p, "Arith.Multiply", wrong{"a", "b"}, ""),
		wantError(p, "Echo.Number", []int{1}, ""),
		want(p, "Arith.Multiply", Args{6, 7}, 42),
	)
}

func failures(p *peer) error {
	return all(
		wantError(p, "Faults.Fail", "first failure", "first failure"),
		wantError(p, "Faults.Fail", "grüße: 世界", "grüße: 世界"),
		want(p, "Arith.Multiply", Args{6, 7}, 42),
		wantError(p, "Faults.Fail", strings.Repeat("long ", 1000), strings.Repeat("long ", 1000)),
	)
}

func panics(p *peer) error {
	return all(
		wantError(p, "Faults.Panic", "on purpose", ""),
		want(p, "Arith.Multiply", Args{6, 7}, 42),
		wantError(p, "Faults.Panic", "again", ""),
	)
}

// Types sends arguments of 300 types over one connection.
func types(p *peer) error {
	for i := 0; i < 300; i++ {
		if err := want(p, "Arith.Multiply", one(i), i*i); err != nil {
			return err
		}
	}
	return want(p, "Arith.Multiply", one(7), 49)
}

// One is an Args of a type of its own, whose other fields a server skips.
func one(i int) any {
	integer := reflect.TypeOf(0)
	fields := []reflect.StructField{
		{Name: "A", Type: integer}, {Name: fmt.Sprintf("Skipped%03d", i), Type: reflect.TypeOf("")}, {Name: "B", Type: integer},
	}
	value := reflect.New(reflect.StructOf(fields)).Elem()
	value.Field(0).SetInt(int64(i))
	value.Field(1).SetString("skipped")
	value.Field(2).SetInt(int64(i))
	return value.Interface()
}

// A key that no other check of this process or another has.
var keys = int64(os.Getpid()) << 20

func newKey() int { return int(atomic.AddInt64(&keys, 1)) }

// Order has a later call answered first.
func order(p *peer) error {
	first, second := newKey(), newKey()
	held := []*rpc.Call{hold(p, first), hold(p, second)}
	if err := all(waitUntilHeld(p, first, 1), waitUntilHeld(p, second, 1), want(p, "Slow.Release", second, true)); err != nil {
		return err
	}
	if call := <-held[1].Done; call.Error != nil {
		return call.Error
	}
	select {
	case <-held[0].Done:
		return fmt.Errorf("a call ended that nobody released")
	default:
	}
	if err := want(p, "Slow.Release", first, true); err != nil {
		return err
	}
	return (<-held[0].Done).Error
}

func hold(p *peer, key int) *rpc.Call {
	return p.client.Go("Slow.Hold", HoldArgs{Key: key}, new(int), make(chan *rpc.Call, 1))
}

func waitUntilHeld(p *peer, key, calls int) error {
	for {
		var held int
		if err := p.client.Call("Slow.Held", key, &held); err != nil || held == calls {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// InFlight has ten thousand calls in flight on one connection.
func inFlight(p *peer) error {
	const calls = 10000
	key := newKey()
	done := make(chan *rpc.Call, calls)
	for i := 0; i < calls; i++ {
		p.client.Go("Slow.Hold", HoldArgs{Key: key}, new(int), done)
	}
	if err := all(waitUntilHeld(p, key, calls), want(p, "Slow.Release", key, true)); err != nil {
		return err
	}
	for i := 0; i < calls; i++ {
		call := <-done
		if call.Error != nil {
			return call.Error
		}
		if reply := *call.Reply.(*int); reply != key {
			return fmt.Errorf("want %d, have %d", key, reply)
		}
	}
	return nil
}

// HalfClose closes its sending half with calls in flight; they are answered all the same.
func halfClose(p *peer) error {
	key := newKey()
	calls := []*rpc.Call{hold(p, key), hold(p, key), hold(p, key)}
	if err := waitUntilHeld(p, key, len(calls)); err != nil {
		return err
	}
	// Another connection releases them, after this one is half closed.
	other, err := connect(p.mode, p.wire.RemoteAddr().String())
	if err != nil {
		return err
	}
	defer other.client.Close()
	if err := p.wire.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if err := want(other, "Slow.Release", key, true); err != nil {
		return err
	}
	for _, call := range calls {
		if call := <-call.Done; call.Error != nil {
			return call.Error
		}
	}
	// And then the server closes.
	if err := p.client.Call("Echo.Number", 1, new(int)); err == nil {
		return fmt.Errorf("a call succeeded after the half close")
	}
	return nil
}

// Cancel gives up a call, the first of its connection, by its number.
func cancel(p *peer) error {
	key := newKey()
	held := hold(p, key)
	if err := all(waitUntilHeld(p, key, 1), want(p, "_goRPC_.Cancel", CancelArgs{Seq: 0}, true)); err != nil {
		return err
	}
	if call := <-held.Done; call.Error == nil {
		return fmt.Errorf("the call that was given up succeeded")
	}
	return all(waitUntilHeld(p, key, 0), want(p, "Arith.Multiply", Args{6, 7}, 42))
}
