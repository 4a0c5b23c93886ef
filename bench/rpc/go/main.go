// Bench is Go's net/rpc as a server, or as the load of one, with the arguments of the program in
// Rust beside it: `serve SYSTEM` and `load SYSTEM ADDRESS PID CALLERS CONNECTIONS BYTES WARM-UP-MS
// MEASURED-MS`, where SYSTEM is gob or json. Of a proxy, PID is PROXY+SERVER.
package main

import (
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type Bench struct{}

type Args struct{ A, B int64 }

func (Bench) Multiply(args *Args, reply *int64) error { *reply = args.A * args.B; return nil }
func (Bench) Echo(args *[]byte, reply *[]byte) error  { *reply = *args; return nil }

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		serve(os.Args[2])
	case len(os.Args) == 10 && os.Args[1] == "load":
		load(os.Args[2], os.Args[3], os.Args[4:])
	default:
		fail("usage: see the documentation of main.go")
	}
}

func serve(system string) {
	must(0, rpc.Register(Bench{}))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println(listener.Addr())
	for {
		// Go sets TCP_NODELAY by itself.
		conn := must(listener.Accept())
		if system == "json" {
			go jsonrpc.ServeConn(conn)
		} else {
			go rpc.ServeConn(conn)
		}
	}
}

const (
	warmUp = iota
	measured
	over
)

func load(system, address string, words []string) {
	number := func(word string) int { return must(strconv.Atoi(word)) }
	var pids []int
	for _, word := range strings.Split(words[0], "+") {
		pids = append(pids, number(word))
	}
	callers, connections, bytes := number(words[1]), number(words[2]), number(words[3])
	warmUpFor, measuredFor := number(words[4]), number(words[5])

	var phase int32
	var wait sync.WaitGroup
	latencies := make([][]uint32, callers*connections)
	for i := 0; i < connections; i++ {
		conn := must(net.Dial("tcp", address))
		connect := rpc.NewClient
		if system == "json" {
			connect = jsonrpc.NewClient
		}
		client := connect(conn)
		for j := 0; j < callers; j++ {
			wait.Add(1)
			go func(latencies *[]uint32) {
				defer wait.Done()
				call(client, bytes, &phase, latencies)
			}(&latencies[i*callers+j])
		}
	}

	// A thread of its own would be more exact, but Go has none to give; all is read in one go.
	time.Sleep(time.Duration(warmUpFor) * time.Millisecond)
	before := processorTimes(append(pids, os.Getpid()))
	atomic.StoreInt32(&phase, measured)
	begin := time.Now()
	time.Sleep(time.Duration(measuredFor) * time.Millisecond)
	atomic.StoreInt32(&phase, over)
	taken := time.Since(begin)
	spent := processorTimes(append(pids, os.Getpid()))
	for i := range spent {
		spent[i] -= before[i]
	}
	server, behind, client := spent[0], 0.0, spent[len(spent)-1]
	if len(spent) == 3 {
		behind = spent[1]
	}
	wait.Wait()

	var all []uint32
	for _, some := range latencies {
		all = append(all, some...)
	}
	if len(all) == 0 {
		fail("no call ended while it was measured")
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	calls := float64(len(all))
	at := func(ofAHundred int) float64 { return float64(all[len(all)*ofAHundred/100]) / 1e3 }
	fmt.Printf("{\"calls\":%.0f,\"rate\":%.0f,\"p50\":%.1f,\"p99\":%.1f,\"server\":%.4f,\"behind\":%.4f,\"client\":%.4f}\n",
		calls, calls/taken.Seconds(), at(50), at(99), server/1e3/calls, behind/1e3/calls, client/1e3/calls)
}

// Call makes one call after the other.
func call(client *rpc.Client, bytes int, phase *int32, latencies *[]uint32) {
	payload := make([]byte, bytes)
	begin := time.Now()
	for {
		if bytes <= 8 {
			var reply int64
			if err := client.Call("Bench.Multiply", &Args{6, 7}, &reply); err != nil || reply != 42 {
				fail(fmt.Sprint("a wrong answer: ", reply, err))
			}
		} else {
			var reply []byte
			if err := client.Call("Bench.Echo", &payload, &reply); err != nil || len(reply) != bytes {
				fail(fmt.Sprint("a wrong answer: ", len(reply), err))
			}
		}
		end := time.Now()
		switch atomic.LoadInt32(phase) {
		case measured:
			*latencies = append(*latencies, uint32(end.Sub(begin)))
		case over:
			return
		}
		begin = end
	}
}

func processorTimes(pids []int) []float64 {
	var times []float64
	for _, pid := range pids {
		times = append(times, processorTime(pid))
	}
	return times
}

// ProcessorTime is that of a process so far in nanoseconds, all its threads together.
func processorTime(pid int) float64 {
	directory := fmt.Sprintf("/proc/%d/task", pid)
	sum := 0.0
	for _, task := range must(os.ReadDir(directory)) {
		// A thread may end between the listing and the reading.
		text, err := os.ReadFile(directory + "/" + task.Name() + "/schedstat")
		if err == nil {
			sum += must(strconv.ParseFloat(strings.Fields(string(text))[0], 64))
		}
	}
	return sum
}

func must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
