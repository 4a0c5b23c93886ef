package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A tally is what became of calls: by whom they were answered, and how they failed.
type tally struct {
	Answered map[string]int `json:"answered"`
	Failed   map[string]int `json:"failed"`
	// The longest call, in milliseconds.
	Slowest int64 `json:"slowest"`
	lock    sync.Mutex
}

// Load calls Who.Multiply from many connections at once, and says with a line of JSON what became of
// the calls. It says READY, a line, once all connections are there.
func load(arguments []string) {
	if len(arguments) != 5 {
		fail(usage)
	}
	var numbers []int
	for _, word := range arguments[2:] {
		numbers = append(numbers, must(strconv.Atoi(word)))
	}
	connections, callers, calls := numbers[0], numbers[1], numbers[2]
	peers := make([]*peer, connections)
	for i := range peers {
		peers[i] = must(connect(arguments[0], arguments[1]))
	}
	fmt.Println("READY")
	var stopped atomic.Bool
	go func() {
		io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		stopped.Store(calls == 0)
	}()
	all := &tally{Answered: map[string]int{}, Failed: map[string]int{}}
	var wait sync.WaitGroup
	for i := 0; i < connections*callers; i++ {
		wait.Add(1)
		go func(caller int) {
			defer wait.Done()
			p := peers[caller%connections]
			for n := 0; n < calls || calls == 0 && !stopped.Load(); n++ {
				all.call(p, caller, n)
			}
		}(i)
	}
	wait.Wait()
	fmt.Println(string(must(json.Marshal(all))))
}

// Call makes a call that no other caller makes, so that an answer to another's is noticed.
func (t *tally) call(p *peer, caller, n int) {
	args, begin := Args{caller, n}, time.Now()
	var reply Named
	err := p.client.Call("Who.Multiply", args, &reply)
	if product := args.A * args.B; err == nil && reply.Product != product {
		err = fmt.Errorf("%d * %d is %d, not %d", args.A, args.B, product, reply.Product)
	}
	took := time.Since(begin).Milliseconds()
	t.lock.Lock()
	defer t.lock.Unlock()
	if err == nil {
		t.Answered[reply.By]++
	} else {
		t.Failed[err.Error()]++
	}
	if took > t.Slowest {
		t.Slowest = took
	}
}
