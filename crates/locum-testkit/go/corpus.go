package main

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"reflect"
	"runtime"
	"strings"
)

// A stream is a line of the corpus: the bytes of a whole gob stream, and its values in order.
type stream struct {
	// The name of the case and the version of Go.
	Id string `json:"id"`
	Go string `json:"go"`
	// Values, requests, or replies.
	Of string `json:"of"`
	// What stands in the stream, in hex.
	Hex string `json:"hex"`
	// Whether JSON says all there is to say; if not, words stand in for what it cannot.
	Exact bool `json:"exact"`
	// Each value as JSON; requests and replies have two for each call.
	Values []json.RawMessage `json:"values"`
}

// Capture writes the corpus of this Go.
func capture() {
	for _, kind := range kinds {
		values(kind.name, kind.name != "Floats" && kind.name != "Complexes", kind.value, kind.value)
	}
	raw := RawStrings{"\xff\xfe bad \x80", []string{"\xc3\x28"}}
	values("RawStrings", false, raw, raw)
	captureSingles()
	captureConversation()
}

func captureSingles() {
	values("basics", true, true, false, 0, 7, -129, uint(255), uint64(1)<<63, 17.0, 0.0, "", "text", []byte("bytes"), []byte{})
	values("composites", true, []int{7, 8}, []int{}, map[int]int{7: 8}, [2]int{7, 8}, [][]string{{"a"}, {}}, Empty{}, map[string]Point{"p": {}})
	values("names", true, struct{ Anonymous struct{ A int } }{struct{ A int }{3}}, struct{ X int }{4})
	values("floats", true, 1.5, float32(1.5), -0.25, 1e300, 5e-324)
	values("deep", true, deep(40))
	values("wide", true, wide(200))
	var many []any
	for i := 0; i < 300; i++ {
		many = append(many, one(i))
	}
	values("types", true, many...)
	values("ids", true, Structs{}, Point{1, 2}, Line{}, Empty{}, Structs{}, List{})
	values("zeros", true, Slices{}, Maps{}, Arrays{}, Bytes{}, Strings{}, Ints{}, Reals{}, Embeddable{}, Drawing{})
	values("interfaces", true, Drawing{First: Square{4}}, Drawing{First: Square{5}, Rest: []Shape{Circle{6}, Square{7}}}, anything())
}

// Embeddable has no pointer to a struct, which would look like the struct.
type Embeddable struct {
	Base
	Note string
}

func deep(levels int) any {
	value := reflect.ValueOf(levels)
	for i := 0; i < levels; i++ {
		outer := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Inner", Type: value.Type()}})).Elem()
		outer.Field(0).Set(value)
		value = outer
	}
	return value.Interface()
}

func wide(width int) any {
	var fields []reflect.StructField
	for i := 0; i < width; i++ {
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: reflect.TypeOf(0)})
	}
	value := reflect.New(reflect.StructOf(fields)).Elem()
	for i := 0; i < width; i += 3 {
		value.Field(i).SetInt(int64(i))
	}
	return value.Interface()
}

func values(id string, exact bool, values ...any) {
	var buffer bytes.Buffer
	encoder := gob.NewEncoder(&buffer)
	line := stream{Id: id, Of: "values", Exact: exact}
	for _, value := range values {
		if err := encoder.Encode(value); err != nil {
			fail(id + ": " + err.Error())
		}
		line.Values = append(line.Values, json.RawMessage(meaning(value)))
	}
	line.write(buffer.Bytes())
}

// CaptureConversation keeps what a client and a server of net/rpc say to each other.
func captureConversation() {
	near, far := net.Pipe()
	sent := &tap{Conn: near}
	answered := &tap{Conn: far}
	go newServer(Who{}, Slow{}).ServeConn(answered)
	client := rpc.NewClient(sent)

	requests := stream{Id: "conversation", Of: "requests", Exact: true}
	replies := stream{Id: "conversation", Of: "replies", Exact: true}
	seq := 0
	call := func(method string, args any, reply any) {
		problem := ""
		if err := client.Call(method, args, reply); err != nil {
			problem, reply = err.Error(), Empty{}
		}
		head := rpc.Request{ServiceMethod: method, Seq: uint64(seq)}
		requests.add(fmt.Sprintf(`{"ServiceMethod":%s,"Seq":%d}`, quote(head.ServiceMethod), head.Seq), meaning(args))
		replies.add(fmt.Sprintf(`{"ServiceMethod":%s,"Seq":%d,"Error":%s}`, quote(method), seq, quote(problem)), meaning(reply))
		seq++
	}
	call("Arith.Multiply", Args{7, 8}, new(int))
	call("Arith.Divide", Args{7, 0}, new(Quotient))
	call("Arith.Divide", Args{7, 2}, new(Quotient))
	call("Arith.Power", Args{1, 2}, new(int))
	call("Nobody.Knows", "nothing", new(int))
	call("Echo.Text", "12345", new(string))
	call("Echo.Number", 12345, new(int))
	call("Echo.Table", map[int]int{7: 8}, new(map[int]int))
	call("Echo.Numbers", []int{7, 8}, new([]int))
	call("Echo.Nothing", Empty{}, new(Empty))
	for _, kind := range kinds {
		if kind.name != "Floats" && kind.name != "Complexes" {
			call("Zoo."+kind.name, kind.value, reflect.New(reflect.TypeOf(kind.value)).Interface())
		}
	}
	client.Close()
	requests.write(sent.written.Bytes())
	replies.write(answered.written.Bytes())
}

type tap struct {
	net.Conn
	written bytes.Buffer
}

func (t *tap) Write(bytes []byte) (int, error) {
	t.written.Write(bytes)
	return t.Conn.Write(bytes)
}

func (s *stream) add(values ...string) {
	for _, value := range values {
		s.Values = append(s.Values, json.RawMessage(value))
	}
}

func (s stream) write(bytes []byte) {
	s.Go = strings.Fields(runtime.Version())[0]
	s.Hex = hex.EncodeToString(bytes)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		fail(err)
	}
}
