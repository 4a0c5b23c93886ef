package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// Meaning writes a value as JSON the way a reader of gob would who knows only what the stream says
// of its types: an embedded struct is a field, a pointer is what it points to, and a field that
// gob leaves out has the zero of its type. What JSON has no way to say (NaN, complex numbers) is
// said in words, so that two values have one meaning only if they are the same.
func meaning(value any) string { return valueOf(reflect.ValueOf(value)) }

func valueOf(v reflect.Value) string {
	if !v.IsValid() {
		return "null"
	}
	switch known := v.Interface().(type) {
	case time.Time:
		return string(must(known.MarshalJSON()))
	case big.Int:
		return known.String()
	case *big.Int:
		if known != nil {
			return known.String()
		}
	}
	switch v.Kind() {
	case reflect.Ptr:
		if v.IsNil() {
			return nilOf(v.Type().Elem())
		}
		return valueOf(v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return "null"
		}
		return valueOf(v.Elem())
	case reflect.Struct:
		var parts []string
		for i := 0; i < v.NumField(); i++ {
			if field := v.Type().Field(i); field.IsExported() {
				parts = append(parts, quote(field.Name)+":"+fieldOf(v.Field(i)))
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			return quote(base64.StdEncoding.EncodeToString(v.Bytes()))
		}
		var parts []string
		for i := 0; i < v.Len(); i++ {
			parts = append(parts, valueOf(v.Index(i)))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case reflect.Map:
		var parts []string
		for _, key := range v.MapKeys() {
			parts = append(parts, quote(fmt.Sprint(key))+":"+valueOf(v.MapIndex(key)))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case reflect.Complex64, reflect.Complex128:
		return quote(fmt.Sprint(v.Complex()))
	case reflect.String:
		if text := v.String(); utf8.ValidString(text) {
			return quote(text)
		}
		return quote(fmt.Sprintf("%q", v.String()))
	case reflect.Float32:
		// On the wire it is a float64.
		return valueOf(reflect.ValueOf(v.Float()))
	default:
		text, err := json.Marshal(v.Interface())
		if err != nil {
			return quote(fmt.Sprint(v.Interface()))
		}
		return string(text)
	}
}

// FieldOf is the meaning of a struct's field: gob leaves out what is empty.
func fieldOf(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.IsNil() || (v.Kind() == reflect.Slice && v.Len() == 0) {
			return "null"
		}
	}
	return valueOf(v)
}

// NilOf is the meaning of a nil pointer, which looks like the zero of what it would point to.
func nilOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Interface:
		return "null"
	case reflect.Ptr:
		return nilOf(t.Elem())
	default:
		return valueOf(reflect.Zero(t))
	}
}

func quote(text string) string { return string(must(json.Marshal(text))) }
