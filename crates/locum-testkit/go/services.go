package main

import (
	"errors"
	"fmt"
	"sync"
)

// Arith is the service of the net/rpc documentation.
type Arith struct{}

type Args struct{ A, B int }

type Quotient struct{ Quo, Rem int }

func (Arith) Multiply(args Args, reply *int) error {
	*reply = args.A * args.B
	return nil
}

func (Arith) Divide(args Args, reply *Quotient) error {
	if args.B == 0 {
		return errors.New("divide by zero")
	}
	*reply = Quotient{args.A / args.B, args.A % args.B}
	return nil
}

// Echo gives back what is no struct.
type Echo struct{}

func (Echo) Text(in string, out *string) error            { *out = in; return nil }
func (Echo) Number(in int, out *int) error                { *out = in; return nil }
func (Echo) Bytes(in []byte, out *[]byte) error           { *out = in; return nil }
func (Echo) Numbers(in []int, out *[]int) error           { *out = in; return nil }
func (Echo) Table(in map[int]int, out *map[int]int) error { *out = in; return nil }
func (Echo) Blob(n int, out *[]byte) error                { *out = make([]byte, n); return nil }
func (Echo) Nothing(in Empty, out *Empty) error           { return nil }

// Who tells which server it is.
type Who struct{ name string }

// Named is a product, and who says so.
type Named struct {
	By      string
	Product int
}

func (w Who) Am(_ int, reply *string) error { *reply = w.name; return nil }

func (w Who) Multiply(args Args, reply *Named) error {
	*reply = Named{w.name, args.A * args.B}
	return nil
}

// Faults fails.
type Faults struct{}

// Fail fails with what it is told.
func (Faults) Fail(text string, _ *string) error { return errors.New(text) }

// Panic fails as a server that contains panics does; net/rpc's own would end.
func (Faults) Panic(text string, _ *string) error { return errors.New("panic: " + text) }

// Slow has calls that wait until they are released, by key.
type Slow struct {
	// Of this connection, if calls can be cancelled.
	cancelled *cancellations
}

type HoldArgs struct {
	Key int
	seq uint64
}

type room struct {
	held    int
	release chan struct{}
}

var (
	rooms     = map[int]*room{}
	roomsLock sync.Mutex
)

func enter(key int) *room {
	roomsLock.Lock()
	defer roomsLock.Unlock()
	if rooms[key] == nil {
		rooms[key] = &room{release: make(chan struct{})}
	}
	rooms[key].held++
	return rooms[key]
}

func (r *room) leave() {
	roomsLock.Lock()
	defer roomsLock.Unlock()
	r.held--
}

// Hold waits until its key is released, and gives it back.
func (s Slow) Hold(args HoldArgs, reply *int) error {
	room := enter(args.Key)
	defer room.leave()
	select {
	case <-room.release:
		*reply = args.Key
		return nil
	case <-s.cancelled.of(args.seq):
		return errors.New("context canceled")
	}
}

// Held tells how many calls wait.
func (Slow) Held(key int, reply *int) error {
	roomsLock.Lock()
	defer roomsLock.Unlock()
	if room := rooms[key]; room != nil {
		*reply = room.held
	}
	return nil
}

// Release lets all calls go that wait with this key.
func (Slow) Release(key int, reply *bool) error {
	roomsLock.Lock()
	defer roomsLock.Unlock()
	if room := rooms[key]; room != nil {
		close(room.release)
		delete(rooms, key)
		*reply = true
	}
	return nil
}

// Zoo gives back every kind, if it is the value that both ends know.
type Zoo struct{}

func echo[T any](name string, in T, out *T) error {
	for _, kind := range kinds {
		if kind.name == name {
			if want, have := meaning(kind.value), meaning(in); want != have {
				return fmt.Errorf("want %s, have %s", want, have)
			}
		}
	}
	*out = in
	return nil
}

func (Zoo) Structs(in Structs, out *Structs) error       { return echo("Structs", in, out) }
func (Zoo) Tree(in Tree, out *Tree) error                { return echo("Tree", in, out) }
func (Zoo) List(in List, out *List) error                { return echo("List", in, out) }
func (Zoo) Directory(in Directory, out *Directory) error { return echo("Directory", in, out) }
func (Zoo) Slices(in Slices, out *Slices) error          { return echo("Slices", in, out) }
func (Zoo) Maps(in Maps, out *Maps) error                { return echo("Maps", in, out) }
func (Zoo) Arrays(in Arrays, out *Arrays) error          { return echo("Arrays", in, out) }
func (Zoo) Pointers(in Pointers, out *Pointers) error    { return echo("Pointers", in, out) }
func (Zoo) Bytes(in Bytes, out *Bytes) error             { return echo("Bytes", in, out) }
func (Zoo) Strings(in Strings, out *Strings) error       { return echo("Strings", in, out) }
func (Zoo) Ints(in Ints, out *Ints) error                { return echo("Ints", in, out) }
func (Zoo) Reals(in Reals, out *Reals) error             { return echo("Reals", in, out) }
func (Zoo) Floats(in Floats, out *Floats) error          { return echo("Floats", in, out) }
func (Zoo) Complexes(in Complexes, out *Complexes) error { return echo("Complexes", in, out) }
func (Zoo) Interfaces(in Drawing, out *Drawing) error    { return echo("Interfaces", in, out) }
func (Zoo) Anything(in Anything, out *Anything) error    { return echo("Anything", in, out) }
func (Zoo) Times(in Times, out *Times) error             { return echo("Times", in, out) }
func (Zoo) Bigs(in Bigs, out *Bigs) error                { return echo("Bigs", in, out) }
func (Zoo) Embedded(in Derived, out *Derived) error      { return echo("Embedded", in, out) }
