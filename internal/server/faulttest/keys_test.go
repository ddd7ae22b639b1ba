package faulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rapport.example/internal/store/storetest"
)

// newKey makes an App key by a node.
func newKey(t *testing.T, n *node) (id int64, secret string) {
	t.Helper()
	a, err := call(t.Context(), http.MethodPost, n.url+"/admin/v1/keys", `{"kind":"app"}`)
	var out struct {
		ID     int64
		Secret string
	}
	if err != nil || a.status != http.StatusCreated || json.Unmarshal(a.body, &out) != nil {
		t.Fatalf("new key: %d %s %v", a.status, a.body, err)
	}
	return out.ID, out.Secret
}

// statusWith is what a node answers to a read with an App key.
func statusWith(t *testing.T, n *node, secret string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/v1/workspaces", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestKeysOnTwoNodes: a key that one node made or revoked is good or refused on the other, which is told by the log and need not
// have looked into the database.
func TestKeysOnTwoNodes(t *testing.T) {
	t.Parallel()
	s := natsSpec{Name: "keys", Dir: t.TempDir(), Port: ports(t, 1)[0]}
	s.start(t)
	p := newPlace(t, storetest.Postgres)
	p.nats = s.url()
	one := p.start(t)
	p.data = t.TempDir()
	other := p.start(t)
	nc, err := nats.Connect(p.nats)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	told, err := nc.SubscribeSync("rapport.tell.keys")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	is := func(n *node, secret string, want int) {
		t.Helper()
		within(t, time.Minute, fmt.Sprintf("a node answers %d", want), func() bool { return statusWith(t, n, secret) == want })
	}

	id, secret := newKey(t, one)
	is(other, secret, http.StatusOK)
	if a, err := call(t.Context(), http.MethodDelete, fmt.Sprintf("%s/admin/v1/keys/%d", one.url, id), ""); err != nil || a.status != http.StatusNoContent {
		t.Fatalf("revoke: %d %v", a.status, err)
	}
	if got := statusWith(t, one, secret); got != http.StatusUnauthorized {
		t.Errorf("the node that revoked the key answers %d", got)
	}
	is(other, secret, http.StatusUnauthorized)
	for want := fmt.Sprintf(`{"gone":[%d]}`, id); ; {
		m, err := told.NextMsg(time.Minute)
		if err != nil {
			t.Fatalf("no announcement of %s: %v", want, err)
		}
		if string(m.Data) == want {
			break
		}
	}

	// Of this one the database says that it is good, so it is the announcement that counts.
	id, secret = newKey(t, one)
	is(other, secret, http.StatusOK)
	if err := nc.Publish("rapport.tell.keys", fmt.Appendf(nil, `{"gone":[%d]}`, id)); err != nil {
		t.Fatal(err)
	}
	is(other, secret, http.StatusUnauthorized)
}
