package liquid

import (
	"fmt"
	"reflect"
)

// turn is what one turn of a loop costs, of MaxWork.
const turn = 1024

// budget counts the work of one render.
type budget struct {
	spent int
	err   *Error // the first bound that was hit
}

// stop records that a bound was hit. Errors pass through layers that change them, so Render asks here first.
func (b *budget) stop(msg string) error {
	if b.err == nil {
		b.err = &Error{Msg: msg}
	}
	return b.err
}

// charge takes n bytes of work.
func (b *budget) charge(n int) error {
	if n < 0 || n > MaxWork-b.spent {
		b.spent = MaxWork
		return b.stop(fmt.Sprintf("is too much work: more than %d bytes to go through", MaxWork))
	}
	b.spent += n
	return nil
}

// or is the bound that was hit, else err.
func (b *budget) or(err *Error) *Error {
	if b.err != nil {
		b.err.Line = err.Line
		return b.err
	}
	return err
}

// size estimates the bytes of a value; containers count their elements once each.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any:
		n := 16
		for _, e := range v {
			n += 16 + size(e)
		}
		return n
	case map[string]any:
		n := 16
		for k, e := range v {
			n += 32 + len(k) + size(e)
		}
		return n
	case nil, bool, int, number:
		return 8
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Slice, reflect.Array:
		n := 16
		for i := range r.Len() {
			n += 16 + size(r.Index(i).Interface())
		}
		return n
	case reflect.Map:
		return 16 + 64*r.Len()
	default:
		return 8
	}
}
