package liquid

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// number is a float that prints without exponent: 1500000, not 1.5e+06. The engine treats it as any float.
type number float64

// String is the shortest decimal that reads back as n.
func (n number) String() string {
	f := float64(n)
	if math.Abs(f) >= 1e21 {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// MarshalJSON keeps the json filter from failing on what JSON has no literal for.
func (n number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return []byte(n.String()), nil
}

// native copies v in the types the engine works with: int for whole numbers, number for others.
func native(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int, number:
		return v
	case int64:
		return int(v)
	case float64:
		return number(v)
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n
		}
		f, _ := v.Float64() //nolint:errcheck // an inexact number is still the nearest one
		return number(f)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = native(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = native(e)
		}
		return out
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return int(r.Int())
	case r.CanUint():
		return number(r.Uint())
	case r.CanFloat():
		return number(r.Float())
	}
	return fmt.Sprint(v) // nothing else may offer its methods to a template
}

// figure reads a number as filters take it: text counts for what it says, what says nothing is 0.
func figure(v any) (n int, f float64, whole bool) {
	switch v := v.(type) {
	case int:
		return v, float64(v), true
	case string:
		s := strings.TrimSpace(v)
		if n, err := strconv.Atoi(s); err == nil {
			return n, float64(n), true
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, f, false
		}
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanFloat() {
		return 0, r.Float(), false
	} else if r.IsValid() && r.CanInt() {
		return int(r.Int()), float64(r.Int()), true
	}
	return 0, 0, true
}

var errDivision = errors.New("division by zero")

// arithmetic keeps whole numbers whole, where the engine makes floats of them.
func arithmetic() table {
	return table{
		"plus": binary(func(a, b float64) (float64, error) { return a + b, nil }, func(a, b int) (int, bool) {
			c := a + b
			return c, (c > a) == (b > 0)
		}),
		"minus": binary(func(a, b float64) (float64, error) { return a - b, nil }, func(a, b int) (int, bool) {
			c := a - b
			return c, (c < a) == (b > 0)
		}),
		"times": binary(func(a, b float64) (float64, error) { return a * b, nil }, func(a, b int) (int, bool) {
			c := a * b
			return c, a == 0 || c/a == b && (a != -1 || b != math.MinInt)
		}),
		"divided_by": binary(nonzero(func(a, b float64) float64 { return a / b }), func(a, b int) (int, bool) {
			if b == 0 || b == -1 {
				return 0, false
			}
			q := a / b
			if a%b != 0 && (a < 0) != (b < 0) { // rounds down, as Ruby does
				q--
			}
			return q, true
		}),
		"modulo": binary(nonzero(math.Mod), func(a, b int) (int, bool) {
			if b == 0 {
				return 0, false
			}
			r := a % b
			if r != 0 && (r < 0) != (b < 0) {
				r += b
			}
			return r, true
		}),
		"abs":   func(v any) any { return unary(v, math.Abs) },
		"ceil":  func(v any) any { return unary(v, math.Ceil) },
		"floor": func(v any) any { return unary(v, math.Floor) },
		"round": round,
	}
}

func nonzero(op func(a, b float64) float64) func(a, b float64) (float64, error) {
	return func(a, b float64) (float64, error) {
		if b == 0 {
			return 0, errDivision
		}
		return op(a, b), nil
	}
}

// binary applies whole where both are whole and the result fits, else float.
func binary(float func(a, b float64) (float64, error), whole func(a, b int) (int, bool)) any {
	return func(a, b any) (any, error) {
		n, f, aWhole := figure(a)
		m, g, bWhole := figure(b)
		if aWhole && bWhole {
			if c, ok := whole(n, m); ok {
				return c, nil
			}
		}
		c, err := float(f, g)
		if err != nil {
			return nil, err
		}
		if aWhole && bWhole {
			return integral(c), nil
		}
		return number(c), nil
	}
}

func unary(v any, op func(float64) float64) any {
	n, f, whole := figure(v)
	if whole && n >= 0 {
		return n
	}
	if r := op(f); whole || r == math.Trunc(r) && f != r {
		return integral(r)
	} else {
		return number(r)
	}
}

// integral is an int where it can be one.
func integral(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return number(f)
}

func round(v any, places func(int) int) any {
	n, f, whole := figure(v)
	p := max(0, min(places(0), 15))
	if whole {
		return n
	}
	if p == 0 {
		return integral(math.Round(f))
	}
	exp := math.Pow10(p)
	if r := math.Round(f*exp) / exp; !math.IsInf(r, 0) && !math.IsNaN(r) {
		return number(r)
	}
	return number(f)
}
