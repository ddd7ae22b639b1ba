package app

import (
	"errors"
	"testing"
)

func TestPagesAreNotEmptyBeforeTheEnd(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []struct {
		name        string
		at, end     int // where the only entry is and where the list ends, in stretches
		found, next int
		err         error
	}{
		{name: "in the first stretch", at: 1, end: 9, found: 1, next: 2},
		{name: "far behind", at: 80, end: 90, found: 80, next: 81},
		{name: "nowhere", at: -1, end: 50},
		{name: "beyond what one page may look at", at: 200, end: 300, next: stretches + 1},
		{name: "an error", at: 80, end: 90, err: broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			list, next, err := some(1, func(from int) ([]int, int, error) {
				switch {
				case c.err != nil && from == 3:
					return nil, 0, c.err
				case from == c.at:
					return []int{from}, from + 1, nil
				case from == c.end:
					return nil, 0, nil
				default:
					return nil, from + 1, nil
				}
			})
			if !errors.Is(err, c.err) || next != c.next || (len(list) == 1) != (c.found != 0) || c.found != 0 && list[0] != c.found {
				t.Errorf("got %v, next %d, %v; want %d, next %d, %v", list, next, err, c.found, c.next, c.err)
			}
		})
	}
}
