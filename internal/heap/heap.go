// Package heap says how far this process's heap may grow.
package heap

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// percent lets the heap grow to three times what is live before it is collected, where Go's own twice would cost a busy
// server a tenth of its work. GOGC and GOMEMLIMIT in the environment count for more.
const percent = 200

// floor bytes count as live and are never touched, so that the system gives no memory for them. Without them a process with
// few MB alive, as one that serves an agent, would be collected after every few MB of garbage.
const floor = 96 << 20

// Setup is called once, at a program's start. What it returns has to be kept alive.
func Setup() (keep any) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	return make([]byte, 0, floor)
}

// room is how many bytes confined work may take on top of what the process had when it began.
const room = 64 << 20

var confined struct {
	sync.Mutex
	works  int
	before int64  // the limit that held before the first of them
	mapped uint64 // what the process had then
}

// Confine has the heap grow by no more than 64 MB, about, until the work is over for which it is called: what the work leaves behind is
// collected before that much of it has come together, and not when the heap has reached three times what lives. It may always have a quarter more than
// what lives and those 64 MB, so that a collection is worth its while. Calls may overlap: the heap grows from what there was at the first of
// them, and each looks anew how much lives.
func Confine() (over func()) {
	confined.Lock()
	defer confined.Unlock()
	mapped, live := usage()
	if confined.works++; confined.works == 1 {
		confined.before, confined.mapped = debug.SetMemoryLimit(-1), mapped
	}
	debug.SetMemoryLimit(min(confined.before, limit(confined.mapped, live)))
	return sync.OnceFunc(func() {
		confined.Lock()
		defer confined.Unlock()
		if confined.works--; confined.works == 0 {
			debug.SetMemoryLimit(confined.before)
		}
	})
}

// limit is what the heap may reach with so many bytes in use and live, in bytes as debug.SetMemoryLimit takes them.
func limit(mapped, live uint64) int64 {
	return int64(min(max(mapped, live+live/4)+room, math.MaxInt64)) //nolint:gosec // bounded
}

// usage is how many bytes Go's runtime has from the system, but for what it has given back, and how many were live at the last collection.
func usage() (mapped, live uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64(), s[2].Value.Uint64()
}
