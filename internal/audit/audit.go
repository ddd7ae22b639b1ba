// Package audit is the record of what agents did and were refused. It only grows, and its entries are chained by their hashes:
// one that was changed, taken out or put in later is found by Verify.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Entry is one call of an agent.
type Entry struct {
	Workspace int64    `json:"workspace"`
	Seq       int64    `json:"seq"`       // from 1 in each workspace, without gaps
	At        int64    `json:"at"`        // Unix ms, real time
	ID        string   `json:"audit_id"`  // a ULID, which the agent was told
	Key       int64    `json:"key"`       // the agent key
	Client    string   `json:"client"`    // name and version, as the agent's program says
	Tool      string   `json:"tool"`      // "http" for a call of the API itself
	Digest    string   `json:"digest"`    // SHA-256 of the arguments as they came, in hex
	Arguments any      `json:"arguments"` // without what they say about people; see Redact
	Scopes    []string `json:"scopes"`    // of the key
	Outcome   string   `json:"outcome"`   // ok, dry_run, or the code of the error
	Rule      string   `json:"rule"`      // what refused it, "" if nothing did
	Calls     []Call   `json:"calls"`     // requests to the back end, in order
	Took      int64    `json:"took_ms"`
	Before    Hash     `json:"before"` // of the entry before, zeros for the first
	Hash      Hash     `json:"hash"`
}

// Call is a request to the back end.
type Call struct {
	Method string `json:"method"`
	Path   string `json:"path"`   // without identifiers and query
	Status int    `json:"status"` // 0 = no answer
	Took   int64  `json:"took_ms"`
}

// Hash is SHA-256.
type Hash [sha256.Size]byte

// MarshalText is the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text); err != nil || n != len(h) {
		return fmt.Errorf("%q is not a hash", text)
	}
	return nil
}

// Seal chains an entry to the one before it.
func (e *Entry) Seal(seq int64, before Hash) error {
	e.Seq, e.Before = seq, before
	h, err := e.sum()
	e.Hash = h
	return err
}

// sum is the hash of all but itself. The form is pinned by testdata/chain.json.
func (e *Entry) sum() (h Hash, err error) {
	c := *e
	c.Hash = Hash{}
	b, err := json.Marshal(c)
	if err != nil {
		return h, fmt.Errorf("encode an audit entry: %w", err)
	}
	return sha256.Sum256(append([]byte("rapport audit 1\n"), b...)), nil
}

// Break says where a chain does not hold.
type Break struct {
	Seq int64
	Why string
}

// Error says it.
func (b *Break) Error() string { return fmt.Sprintf("entry %d %s", b.Seq, b.Why) }

// Chain verifies entries one after the other.
type Chain struct {
	Seq  int64 // of the newest entry that holds
	Hash Hash  // of it
}

// Add verifies the next entry; its error is a *Break.
func (c *Chain) Add(e *Entry) error {
	h, err := e.sum()
	switch {
	case err != nil:
		return &Break{e.Seq, "cannot be read"}
	case e.Seq != c.Seq+1:
		return &Break{c.Seq + 1, "is missing"}
	case h != e.Hash:
		return &Break{e.Seq, "was changed"}
	case e.Before != c.Hash:
		return &Break{e.Seq, "does not follow from the one before: one of the two was replaced"}
	}
	c.Seq, c.Hash = e.Seq, h
	return nil
}

// kept are the arguments whose values are kept: they say nothing about people.
var kept = map[string]bool{
	"action": true, "actor": true, "agent_ready": true, "api": true, "campaign_id": true, "category": true, "channel": true, "compact": true,
	"content_id": true, "dry_run": true, "failed_step": true,
	"id_type": true, "include": true, "include_body": true, "kind": true, "limit": true, "metric": true, "only_existing": true, "operation_id": true, "outcome": true, "primary_type": true,
	"recipe_id": true, "sample": true, "secondary_type": true, "sections": true, "segment_id": true, "service_id": true, "since": true, "state": true,
	"success": true, "type": true, "unsubscribed": true, "until": true,
}

// Redact is what is kept of a tool's arguments: the names, and values that cannot be about a person. Of an object within, the names; of
// a list, how long it is; of other text, nothing but that it was there.
func Redact(arguments map[string]any) map[string]any {
	out := make(map[string]any, len(arguments))
	for name, v := range arguments {
		if len(name) > 100 {
			name = name[:100]
		}
		name = strings.ToValidUTF8(name, "\uFFFD")
		switch {
		case kept[name]:
			out[name] = bounded(v)
		default:
			out[name] = outline(v)
		}
	}
	return out
}

// bounded is a value that is kept, unless somebody put a book into it.
func bounded(v any) any {
	if b, err := json.Marshal(v); err != nil || len(b) > 500 {
		return outline(v)
	}
	return v
}

func outline(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case []any:
		return fmt.Sprintf("list of %d", len(v))
	case map[string]any:
		return fmt.Sprintf("object of %d", len(v))
	}
	return "…"
}
