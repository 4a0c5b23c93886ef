package main

import (
	"encoding/gob"
	"math"
	"math/big"
	"strings"
	"time"
)

// A kind is a type that travels, and the one value of it that both ends know.
type kind struct {
	name  string
	value any
	// Whether encoding/json can carry it, and a reader that knows no Go types would read the same.
	json bool
}

// Every kind is also a method of the service Zoo.
var kinds = []kind{
	{"Structs", Structs{"structs", -3, 0.5, true, Point{1, -2}, Line{Point{0, 3}, Point{4, 0}}, Empty{}}, true},
	{"Tree", Tree{1, &Tree{2, nil, &Tree{3, nil, nil}}, &Tree{4, nil, nil}}, true},
	{"List", list20(), true},
	{"Directory", directory(), true},
	{"Slices", Slices{
		[]int{0, 1, -1, 63, 64, -65, 1 << 40}, []string{"a", "", "ccc"}, []bool{true, false, true},
		[]float64{0, 1.5, -2.25}, [][]int{{1}, {}, {2, 3}}, []Point{{1, 2}, {0, 0}, {3, 0}}, nil,
	}, true},
	{"Maps", Maps{
		map[string]int{"one": 1, "two": 2, "zero": 0}, map[int]string{-1: "minus", 0: "", 7: "seven"},
		map[string]Point{"a": {1, 2}, "o": {}}, map[string]map[string]int{"x": {"y": 1}, "z": {}},
		map[string][]int{"even": {2, 4}, "none": {}}, map[string]int{}, nil,
	}, true},
	{"Arrays", Arrays{[3]int{1, 0, 3}, [2][2]int{{1, 2}, {3, 4}}, [2]string{"", "b"}, [4]byte{0, 1, 128, 255}, [2]int{}}, true},
	{"Pointers", Pointers{pointer(5), pointer("text"), nil, pointer(pointer(-6)), &Point{7, 8}, nil}, true},
	{"Bytes", Bytes{[]byte("hello"), nil, every()}, true},
	{"Strings", Strings{"plain", "grüße, 世界 🌍", "", strings.Repeat("long ", 60), "a\x00b\n\"c\"\\"}, true},
	{"Ints", Ints{
		math.MinInt8, math.MaxInt8, math.MinInt16, math.MaxInt16, math.MinInt32, math.MaxInt32, math.MinInt64, math.MaxInt64,
		math.MaxUint8, math.MaxUint16, math.MaxUint32, math.MaxUint64, -1, 1 << 63,
	}, true},
	{"Reals", Reals{1.0 / 3, math.MaxFloat64, math.SmallestNonzeroFloat64, -17.25, 0.1, 1e21}, true},
	{"Floats", Floats{math.NaN(), math.Inf(1), math.Inf(-1), []float64{math.Copysign(0, -1), 0}, math.MaxFloat32}, false},
	{"Complexes", Complexes{complex(17, 19), complex(-1, math.Inf(1)), complex(0.5, 0), []complex128{0, 1i}}, false},
	{"Interfaces", drawing(), false},
	{"Anything", anything(), false},
	{"Times", Times{
		time.Date(2026, 11, 25, 8, 30, 0, 123456789, time.UTC), time.Date(1969, 7, 20, 20, 17, 40, 0, time.FixedZone("", -4*3600)),
		[]time.Time{time.Date(2000, 2, 29, 23, 59, 59, 0, time.FixedZone("", 5*3600+30*60))}, time.Time{},
	}, true},
	{"Bigs", Bigs{big.NewInt(42), huge(), new(big.Int).Neg(huge()), big.NewInt(0)}, true},
	{"Embedded", Derived{Base{7, "base"}, &Extra{"extra"}, "note"}, false},
}

type Point struct{ X, Y int }

type Line struct{ From, To Point }

type Empty struct{}

type Structs struct {
	Name  string
	Count int
	Ratio float64
	Yes   bool
	At    Point
	Line  Line
	None  Empty
}

type Tree struct {
	Value       int
	Left, Right *Tree
}

type List struct {
	Value int
	Next  *List
}

type Directory struct {
	Name     string
	Children []Directory
	ByName   map[string]*Directory
}

type Slices struct {
	Ints   []int
	Words  []string
	Flags  []bool
	Floats []float64
	Nested [][]int
	Points []Point
	None   []int
}

type Maps struct {
	ByName   map[string]int
	ByNumber map[int]string
	Points   map[string]Point
	Nested   map[string]map[string]int
	Lists    map[string][]int
	Empty    map[string]int
	None     map[string]int
}

type Arrays struct {
	Three [3]int
	Grid  [2][2]int
	Words [2]string
	Raw   [4]byte
	Zeros [2]int
}

type Pointers struct {
	Number  *int
	Text    *string
	None    *int
	Twice   **int
	Point   *Point
	NoPoint *Point
}

type Bytes struct{ Some, None, Every []byte }

type Strings struct{ Plain, Unicode, None, Long, Odd string }

type Ints struct {
	MinI8, MaxI8   int8
	MinI16, MaxI16 int16
	MinI32, MaxI32 int32
	MinI64, MaxI64 int64
	MaxU8          uint8
	MaxU16         uint16
	MaxU32         uint32
	MaxU64         uint64
	Minus          int
	Top            uint
}

type Reals struct {
	Third, Max, Least, Minus float64
	Single                   float32
	Large                    float64
}

type Floats struct {
	NaN, Inf, MinusInf float64
	Zeros              []float64
	Single             float32
}

type Complexes struct {
	Whole  complex128
	Far    complex128
	Single complex64
	Many   []complex128
}

type Shape interface{ Sides() int }

type Circle struct{ Radius float64 }

type Square struct{ Side int }

// A Group is a shape made of shapes: its type is introduced inside of a value that is introduced
// inside of another.
type Group struct {
	Name    string
	Members []Shape
}

func (Circle) Sides() int  { return 0 }
func (Square) Sides() int  { return 4 }
func (g Group) Sides() int { return len(g.Members) }

type Drawing struct {
	Title string
	First Shape
	Rest  []Shape
	Named map[string]Shape
	None  Shape
	Last  int
}

type Anything struct{ Values []any }

type Times struct {
	Utc, Zoned time.Time
	Many       []time.Time
	Zero       time.Time
}

type Bigs struct{ Small, Huge, Minus, Zero *big.Int }

type Base struct {
	Id    int
	Label string
}

type Extra struct{ More string }

type Derived struct {
	Base
	*Extra
	Note string
}

type RawStrings struct {
	Bad  string
	Many []string
}

func init() {
	gob.RegisterName("zoo.Circle", Circle{})
	gob.RegisterName("zoo.Square", Square{})
	gob.RegisterName("zoo.Group", Group{})
	gob.RegisterName("zoo.Point", Point{})
	gob.RegisterName("zoo.Points", []Point{})
	gob.RegisterName("zoo.Table", map[string]any{})
	gob.RegisterName("zoo.Values", []any{})
}

func list20() List {
	list := List{20, nil}
	for value := 19; value > 0; value-- {
		next := list
		list = List{value, &next}
	}
	return list
}

func directory() Directory {
	usr := Directory{"usr", []Directory{{"bin", nil, nil}, {"lib", nil, nil}}, nil}
	return Directory{"/", []Directory{usr}, map[string]*Directory{"usr": &usr}}
}

func drawing() Drawing {
	inner := Group{"inner", []Shape{Square{1}, Circle{2}}}
	return Drawing{
		"drawing", Circle{1.5}, []Shape{Square{2}, nil, Group{"outer", []Shape{inner, Square{3}}}},
		map[string]Shape{"only": Group{"empty", nil}}, nil, 99,
	}
}

func anything() Anything {
	return Anything{[]any{
		5, "text", true, 2.5, []byte("raw"), uint8(200), int64(-7), nil, Point{1, 2}, []Point{{3, 4}},
		map[string]any{"deep": []any{Point{5, 6}, "x"}},
	}}
}

func huge() *big.Int { return new(big.Int).Exp(big.NewInt(7), big.NewInt(77), nil) }

func every() []byte {
	bytes := make([]byte, 256)
	for i := range bytes {
		bytes[i] = byte(i)
	}
	return bytes
}

func pointer[T any](value T) *T { return &value }
