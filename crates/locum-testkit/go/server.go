package main

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"sync"
)

// Serve listens, says where, and serves until it is killed.
func serve(arguments []string) {
	if len(arguments) != 2 {
		fail(usage)
	}
	listener := must(net.Listen("tcp", arguments[1]))
	fmt.Println(listener.Addr())

	who := Who{listener.Addr().String()}
	server := newServer(who, Slow{})
	if arguments[0] == "http" {
		server.HandleHTTP(rpc.DefaultRPCPath, rpc.DefaultDebugPath)
		fail(http.Serve(listener, nil))
	}
	for {
		conn := must(listener.Accept())
		switch arguments[0] {
		case "gob":
			go server.ServeConn(conn)
		case "jsonrpc":
			go server.ServeCodec(jsonrpc.NewServerCodec(conn))
		case "cancel":
			cancelled := &cancellations{channels: map[uint64]chan struct{}{}}
			server := newServer(who, Slow{cancelled})
			if err := server.RegisterName("_goRPC_", Canceller{cancelled}); err != nil {
				fail(err)
			}
			go server.ServeCodec(newCancelCodec(conn, cancelled))
		default:
			fail(usage)
		}
	}
}

func newServer(who Who, slow Slow) *rpc.Server {
	server := rpc.NewServer()
	for _, service := range []any{Arith{}, Echo{}, who, Faults{}, slow, Zoo{}} {
		if err := server.Register(service); err != nil {
			fail(err)
		}
	}
	return server
}

// Cancellations are the calls of one connection that may be given up.
type cancellations struct {
	lock     sync.Mutex
	channels map[uint64]chan struct{}
}

// Of is closed when the call is given up; nil, where calls cannot be.
func (c *cancellations) of(seq uint64) <-chan struct{} {
	if c == nil {
		return nil
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.channels[seq]
}

// Canceller is the service _goRPC_ of keegancsmith/rpc.
type Canceller struct{ cancelled *cancellations }

type CancelArgs struct{ Seq uint64 }

func (c Canceller) Cancel(args CancelArgs, reply *bool) error {
	c.cancelled.lock.Lock()
	defer c.cancelled.lock.Unlock()
	if channel := c.cancelled.channels[args.Seq]; channel != nil {
		close(channel)
		delete(c.cancelled.channels, args.Seq)
	}
	*reply = true
	return nil
}

// A cancelCodec is net/rpc's gob codec, which is not exported, and tells a call of Hold its number.
type cancelCodec struct {
	conn      io.ReadWriteCloser
	decoder   *gob.Decoder
	encoder   *gob.Encoder
	buffer    *bufio.Writer
	seq       uint64
	cancelled *cancellations
}

func newCancelCodec(conn io.ReadWriteCloser, cancelled *cancellations) *cancelCodec {
	buffer := bufio.NewWriter(conn)
	return &cancelCodec{conn, gob.NewDecoder(conn), gob.NewEncoder(buffer), buffer, 0, cancelled}
}

func (c *cancelCodec) ReadRequestHeader(request *rpc.Request) error {
	if err := c.decoder.Decode(request); err != nil {
		return err
	}
	c.seq = request.Seq
	return nil
}

func (c *cancelCodec) ReadRequestBody(body any) error {
	if err := c.decoder.Decode(body); err != nil {
		return err
	}
	if args, isHold := body.(*HoldArgs); isHold {
		args.seq = c.seq
		c.cancelled.lock.Lock()
		defer c.cancelled.lock.Unlock()
		c.cancelled.channels[c.seq] = make(chan struct{})
	}
	return nil
}

func (c *cancelCodec) WriteResponse(response *rpc.Response, body any) error {
	if err := c.encoder.Encode(response); err != nil {
		return err
	}
	if err := c.encoder.Encode(body); err != nil {
		return err
	}
	return c.buffer.Flush()
}

func (c *cancelCodec) Close() error { return c.conn.Close() }
