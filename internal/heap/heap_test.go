package heap

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

var garbage []byte

// TestConfine makes gigabytes of garbage beside a little that lives: confined, in one step as in four that follow each other, the heap takes little more than the room for it, where it
// else grows to three times what lives, and afterwards the old bound holds.
func TestConfine(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(percent))
	before := debug.SetMemoryLimit(-1)
	lives := make([][]byte, 0, 300)
	for range cap(lives) {
		lives = append(lives, make([]byte, 1<<20))
	}
	runtime.GC()
	debug.FreeOSMemory()
	mapped, live := usage()
	most := func() (most uint64) {
		for i := range 120_000 {
			garbage = make([]byte, 10<<10)
			if i%100 == 0 {
				n, _ := usage()
				most = max(most, n)
			}
		}
		return most - mapped
	}
	over := Confine()
	for step := range 4 { // each begins before the last one ends, which counts once
		if got := most(); got > 350<<20 { // 139 if nothing else runs: while a collection is under way it may get more
			t.Errorf("confined, by step %d %d MB more were taken", step, got>>20)
		}
		last := over
		over = Confine()
		last()
		last()
	}
	if got, want := debug.SetMemoryLimit(-1), limit(mapped, live); got > want+room || got < want-room {
		t.Errorf("the limit is %d MB, want about %d", got>>20, want>>20)
	}
	over()
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("afterwards the limit is %d, want %d as before", got, before)
	}
	if got := most(); got < 420<<20 { // twice what lives is 600
		t.Errorf("not confined, %d MB more were taken: this test shows nothing", got>>20)
	}
	runtime.KeepAlive(lives)
}

// TestLimit: what is there already gets the room on top, or what lives and a quarter, and an operator's own limit stays.
func TestLimit(t *testing.T) {
	for _, x := range []struct{ mapped, live, want int64 }{
		{200 << 20, 50 << 20, 200<<20 + room},
		{200 << 20, 180 << 20, 225<<20 + room},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := limit(uint64(x.mapped), uint64(x.live)); got != x.want {
			t.Errorf("limit(%d, %d) = %d, want %d", x.mapped, x.live, got, x.want)
		}
	}
	const own = 123 << 20
	before := debug.SetMemoryLimit(own)
	defer debug.SetMemoryLimit(before)
	over := Confine()
	if got := debug.SetMemoryLimit(-1); got != own {
		t.Errorf("with an operator's limit of %d it became %d", own, got)
	}
	over()
	if got := debug.SetMemoryLimit(-1); got != own {
		t.Errorf("an operator's limit of %d became %d", own, got)
	}
}
