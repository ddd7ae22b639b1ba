package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
)

// Bounds of what is remembered of requests with an Idempotency-Key.
const (
	OnceFor    = ingest.OnceFor // how long a key is known
	maxKey     = 255            // bytes
	onceRoom   = 16 << 20       // bytes of a generation of remembered requests, of which there are two
	onceAnswer = 4 << 10        // a longer answer is made again instead of remembered
	onceHeader = "Idempotency-Key"
	replayed   = "Idempotent-Replayed"
)

// Requests finds what was applied under a key.
type Requests interface {
	// FindRequest tells which request was applied under a key, and when it was received (Unix ms); found is false if none
	// was at or after since.
	FindRequest(ctx context.Context, workspace int64, hash [16]byte, since int64) (o ingest.Once, received int64, found bool, err error)
}

// Once lets a request that is sent again with its Idempotency-Key have one effect. Its ops carry the key, and the engine
// applies those of one request only: that holds over restarts and on several nodes. What this process answered is
// remembered besides, and what was applied is looked up, so that the repeat gets the same answer and another request under the
// same key OtherRequest. A request without the header is not touched. It is safe for concurrent use.
type Once struct {
	requests Requests
	// Fresh waits, bounded, until what other processes, or this one before it was started anew, took for a workspace is
	// applied.
	fresh func(ctx context.Context, workspace int64)

	mu         sync.Mutex
	young, old map[[16]byte]*claim
	size       int // of young
}

// NewOnce returns a Once that remembers nothing yet. fresh may be nil.
func NewOnce(r Requests, fresh func(ctx context.Context, workspace int64)) *Once {
	return &Once{requests: r, fresh: fresh}
}

// claim is one request under a key.
type claim struct {
	hash, print [16]byte
	once        ingest.Once
	received    int64 // Unix ms
	pos         ingest.Position
	taken       bool          // its ops are durable
	done        chan struct{} // closed when it is answered

	status int // of the answer, 0 = it is not remembered
	header string
	answer []byte
}

// key reads the header; "" if there is none.
func (c *Call) key() (string, error) {
	h := c.R.Header[onceHeader]
	if len(h) == 0 || c.R.Method == http.MethodGet || c.R.Method == http.MethodHead {
		return "", nil
	}
	key := h[0]
	ok := key != "" && len(key) <= maxKey && len(h) == 1
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] >= ' ' && key[i] <= '~'
	}
	if !ok {
		return "", fault.Field(onceHeader, "must be 1 to %d printable ASCII characters", maxKey)
	}
	return key, nil
}

// begin claims the key of a request whose credential is known, or answers it as before. It reports whether it answered.
func (c *Call) begin(o *Once) (answered bool, err error) {
	key, err := c.key()
	if err != nil || key == "" {
		return false, err
	}
	c.once, c.onceKey = o, key
	if c.Credential == nil {
		return false, nil // who asks shows when the body or the message is read
	}
	for {
		known, err := c.claim()
		switch {
		case err != nil:
			return false, err
		case known == nil:
			return false, nil
		case known.status != 0:
			return true, c.again(known)
		case known.taken:
			c.was = known
			return false, nil
		}
	}
}

// again answers as before.
func (c *Call) again(known *claim) error {
	h := c.W.Header()
	h.Set(replayed, "true")
	if known.header != "" {
		h.Set("Content-Type", known.header)
		h.Set("Content-Length", strconv.Itoa(len(known.answer)))
	}
	c.W.WriteHeader(known.status)
	_, _ = c.W.Write(known.answer) //nolint:errcheck // it only fails when the caller is gone
	return nil
}

// claim takes the key for this call, or waits for the request that has it and returns that one.
func (c *Call) claim() (*claim, error) {
	o := c.once
	n := claim{done: make(chan struct{}), received: c.Now.UnixMilli()}
	n.hash, n.print = c.onceHash(), c.print()
	n.once = ingest.Once{Hash: n.hash, Print: n.print}
	if _, err := rand.Read(n.once.Nonce[:]); err != nil {
		return nil, err
	}
	known := o.take(&n)
	if known == nil {
		c.mine = &n
		return nil, nil
	}
	if known.print != n.print {
		return nil, OtherRequest()
	}
	select {
	case <-known.done:
		return known, nil
	case <-c.R.Context().Done():
		return nil, fault.Wrap(fault.Unavailable, c.R.Context().Err(), "the request with this Idempotency-Key is under way")
	}
}

// OtherRequest is the refusal of a request under a key that another one has, as the IETF's draft of the header has it: 422, since a 409
// stands for a request that is under way, which is waited for here.
func OtherRequest() error {
	return WithStatus(http.StatusUnprocessableEntity, fault.New(fault.Conflict, "the Idempotency-Key was used for another request in the last 24 hours"))
}

// onceHash stands for a key of the caller's.
func (c *Call) onceHash() [16]byte {
	b := binary.BigEndian.AppendUint64([]byte("once"), uint64(c.Workspace))
	if c.Credential != nil {
		b = binary.BigEndian.AppendUint64(b, uint64(c.Credential.ID))
	}
	sum := sha256.Sum256(append(b, c.onceKey...))
	return [16]byte(sum[:16])
}

// print tells requests apart: method, path with parameters, and body.
func (c *Call) print() [16]byte {
	h := sha256.New()
	h.Write([]byte(c.R.Method + " " + c.R.URL.RequestURI() + "\n"))
	h.Write(c.Body)
	return [16]byte(h.Sum(nil)[:16])
}

// take returns the claim that has the key, nil if n has it from now on.
func (o *Once) take(n *claim) *claim {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := o.young[n.hash]
	if known == nil {
		known = o.old[n.hash]
	}
	if known != nil && n.received-known.received < OnceFor.Milliseconds() {
		return known
	}
	o.put(n, 200)
	return nil
}

func (o *Once) put(n *claim, size int) {
	if o.young == nil {
		o.young = map[[16]byte]*claim{}
	}
	o.young[n.hash] = n
	if o.size += size; o.size > onceRoom {
		o.young, o.old, o.size = nil, o.young, 0
	}
}

// end remembers the answer of the call that has the key, or frees the key if nothing was taken.
func (c *Call) end() {
	n := c.mine
	if n == nil {
		return
	}
	o := c.once
	o.mu.Lock()
	defer o.mu.Unlock()
	if n.taken && c.rw.status < 300 && len(c.rw.kept) <= onceAnswer {
		n.status, n.header, n.answer = c.rw.status, c.W.Header().Get("Content-Type"), c.rw.kept
		o.put(n, len(n.answer))
	}
	if !n.taken {
		for _, m := range [...]map[[16]byte]*claim{o.young, o.old} {
			if m[n.hash] == n {
				delete(m, n.hash)
			}
		}
	}
	close(n.done)
}

// Append makes the call's ops durable, all or none, and returns when they are. With an Idempotency-Key that was used for the
// same request already it makes nothing durable: ops get the ids and the time, and the call the Now, of those of then, so that
// the answer is the same. Another request under the key is OtherRequest. Other errors are those of the log.
func (c *Call) Append(log Appender, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	if c.once == nil || len(ops) == 0 {
		return log.Append(c.R.Context(), partition, ops...)
	}
	again, err := c.Repeated(ops[0].Workspace)
	if err != nil {
		return ingest.Position{}, err
	}
	if again {
		c.stamp(ops, c.was)
		c.W.Header().Set(replayed, "true")
		return c.was.pos, nil
	}
	c.stamp(ops, c.mine)
	pos, err := log.Append(c.R.Context(), partition, ops...)
	if err == nil {
		c.mine.taken, c.mine.pos = true, pos
	}
	return pos, err
}

// Repeated reports whether the call's request was carried out before, under its Idempotency-Key in this workspace. Another
// request under the key is OtherRequest.
func (c *Call) Repeated(workspace int64) (bool, error) {
	if c.once == nil || c.looked {
		return c.was != nil, nil
	}
	for c.mine == nil && c.was == nil {
		known, err := c.claim()
		if err != nil {
			return false, err
		}
		if known != nil && known.taken {
			c.was = known
		}
	}
	if c.was == nil {
		if err := c.lookUp(workspace); err != nil {
			return false, err
		}
	}
	c.looked = true
	return c.was != nil, nil
}

// Replayed reports whether Append found the call's request carried out before.
func (c *Call) Replayed() bool { return c.was != nil }

// lookUp finds a request that another process took, or this one long ago. If the database cannot tell, the engine still
// will: the second effect is kept out, and the answer is that of the second request.
func (c *Call) lookUp(workspace int64) error {
	o, n, ctx := c.once, c.mine, c.R.Context()
	if o.fresh != nil {
		o.fresh(ctx, workspace)
	}
	once, received, found, err := o.requests.FindRequest(ctx, workspace, n.hash, n.received-OnceFor.Milliseconds())
	if err != nil || !found {
		return nil
	}
	if once.Print != n.print {
		return OtherRequest()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n.once, n.received, n.taken = once, received, true
	c.was = n
	return nil
}

// stamp gives ops the key, ids that follow from it, and their time.
func (c *Call) stamp(ops []ingest.Op, n *claim) {
	c.Now = time.UnixMilli(n.received)
	for i := range ops {
		h := sha256.New()
		h.Write(n.once.Hash[:])
		h.Write(n.once.Nonce[:])
		h.Write(binary.BigEndian.AppendUint64(nil, c.stamped))
		c.stamped++
		var id ulid.ULID
		copy(id[6:], h.Sum(nil))
		_ = id.SetTime(uint64(n.received)) //nolint:errcheck // it fails after the year 10889
		once := n.once
		ops[i].ID, ops[i].Received, ops[i].Version, ops[i].Once = id.String(), n.received, ingest.KeyedVersion, &once
	}
}
