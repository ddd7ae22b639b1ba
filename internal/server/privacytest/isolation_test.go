package privacytest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/config"
)

// fill puts the same people into a workspace as into every other; only the values say whose they are.
func (r *running) fill(t *testing.T, w tenant) {
	t.Helper()
	for _, id := range []string{"1", "2", "3"} {
		r.identify(t, w, id, fmt.Sprintf(`{"email":"person%s@example.com","plan":"pro","first_name":"only-%s"}`, id, w.name))
		r.track(t, w, id, "signed_up", fmt.Sprintf(`{"token":"only-%s"}`, w.name))
	}
	r.must(t, w.basic(), http.MethodPost, "/api/v1/segments/2/add_customers", `{"ids":["1","2"]}`)
	r.must(t, w.app, http.MethodPost, "/v1/send/email", `{"transactional_message_id":"receipt","to":"person1@example.com","identifiers":{"id":"1"},"message_data":{"number":"only-`+w.name+`"}}`)
	within(t, "four mails are sent", func() bool {
		return strings.Count(r.must(t, w.app, http.MethodGet, "/v1/messages?limit=50", ""), `"sent":`) >= 4
	})
}

// reads are the reads of the App API that tell about people and definitions.
var reads = []string{
	"/v1/customers?email=person1@example.com", "/v1/customers/1/attributes", "/v1/customers/1/segments", "/v1/customers/1/activities", "/v1/customers/1/messages",
	"/v1/customers/person2%40example.com/attributes?id_type=email", "/v1/campaigns", "/v1/campaigns/1", "/v1/campaigns/1/messages", "/v1/messages", "/v1/activities",
	"/v1/workspaces", "/v1/segments", "/v1/segments/1", "/v1/segments/1/membership", "/v1/segments/2/membership", "/v1/segments/2/customer_count", "/v1/segments/1/used_by",
}

// snapshot is everything that a workspace's keys can read.
func (r *running) snapshot(t *testing.T, w tenant) string {
	t.Helper()
	var b strings.Builder
	for _, path := range reads {
		b.WriteString(path + "\n" + r.must(t, w.app, http.MethodGet, path, "") + "\n")
	}
	return b.String()
}

var (
	cioIDs      = regexp.MustCompile(`"cio_id": ?"([^"]+)"`)
	messageIDs  = regexp.MustCompile(`"id": ?"([A-Za-z0-9_-]{20})"`)
	links       = regexp.MustCompile(`http://[0-9.:]+/e/[ocu]/[A-Za-z0-9_.-]+`)
	nextCursors = regexp.MustCompile(`"next": ?"([^"]+)"`)
)

// found are the different first groups of a pattern's matches.
func found(re *regexp.Regexp, text string) (out []string) {
	seen := map[string]bool{}
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		if s := m[len(m)-1]; !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

type bearer string

// RoundTrip is part of http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// agent asks an agent's tool about a person.
func (r *running) agent(t *testing.T, key, tool string, args any) string {
	t.Helper()
	transport := &sdk.StreamableClientTransport{Endpoint: r.url + "/mcp", HTTPClient: &http.Client{Transport: bearer(key)}, DisableStandaloneSSE: true}
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // what the tool answered is what counts
	res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range res.Content {
		if text, ok := c.(*sdk.TextContent); ok {
			b.WriteString(text.Text)
		}
	}
	return b.String()
}

// TestIsolation holds two workspaces with the same identifiers, segments and campaigns on one server apart.
func TestIsolation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o config.Serve) {
		r := run(t, o)
		r.apply(t, file("alpha"))
		keys := r.apply(t, file("beta"))
		a := first
		b := tenant{name: "beta", site: keys["site"], track: keys["track"], app: keys["app"], agent: keys["agent"], write: keys["write"]}
		if b.site == "" || b.track == "" || b.app == "" || b.agent == "" {
			t.Fatalf("keys of the second workspace: %v", keys)
		}
		r.fill(t, a)
		r.fill(t, b)
		mails := map[string]string{}
		for _, w := range []tenant{a, b} {
			mails[w.name] = r.must(t, a.adm, http.MethodGet, "/admin/v1/mailbox?limit=50&workspace="+w.name, "")
		}
		seen := map[string]string{a.name: r.snapshot(t, a), b.name: r.snapshot(t, b)}

		for _, pair := range [][2]tenant{{a, b}, {b, a}} {
			me, other := pair[0], pair[1]
			mine, theirs := seen[me.name], seen[other.name]
			all := mine + mails[me.name] + r.agent(t, me.agent, "get_person", map[string]any{"id": "1", "include": []string{"attributes", "segments", "messages", "activities"}}) +
				r.agent(t, me.agent, "list_deliveries", map[string]any{})
			if !strings.Contains(all, "only-"+me.name) || strings.Contains(all, "only-"+other.name) || strings.Contains(mine, "of "+other.name) || !strings.Contains(mine, "of "+me.name) {
				t.Errorf("%s sees what is %s's, or not its own", me.name, other.name)
			}
			ids := found(cioIDs, theirs)
			if len(ids) != 3 {
				t.Fatalf("cio ids of %s: %v", other.name, ids)
			}
			for _, id := range ids {
				if strings.Contains(all, id) {
					t.Errorf("%s sees the cio id %s of %s", me.name, id, other.name)
				}
				for _, key := range []string{me.app, me.agent} {
					for _, what := range []string{"attributes", "segments", "activities", "messages"} {
						if status, body := r.call(t, key, http.MethodGet, "/v1/customers/cio_"+id+"/"+what+"?id_type=cio_id", ""); status != http.StatusNotFound {
							t.Errorf("%s of another workspace's person: %d %s", what, status, body)
						}
					}
				}
				// Accepted, as the vendor accepts it, and without effect: the snapshots below are the same as before.
				r.must(t, me.basic(), http.MethodPut, "/api/v1/customers/cio_"+id, `{"first_name":"stolen"}`)
				r.must(t, me.basic(), http.MethodDelete, "/api/v1/customers/cio_"+id, "")
				r.must(t, me.basic(), http.MethodPost, "/api/v1/customers/cio_"+id+"/suppress", "")
				r.must(t, me.basic(), http.MethodPost, "/api/v1/segments/2/add_customers?id_type=cio_id", `{"ids":["`+id+`"]}`)
			}
			messages := found(messageIDs, theirs)
			if len(messages) < 4 {
				t.Fatalf("messages of %s: %v", other.name, messages)
			}
			for _, id := range messages {
				if status, body := r.call(t, me.app, http.MethodGet, "/v1/messages/"+id, ""); status != http.StatusNotFound {
					t.Errorf("another workspace's message: %d %s", status, body)
				}
			}
			for _, path := range []string{"/v1/messages?limit=1", "/v1/activities?limit=1", "/v1/segments/1/membership?limit=1", "/v1/customers/1/activities?limit=1", "/v1/campaigns/1/messages?limit=1"} {
				next := found(nextCursors, r.must(t, other.app, http.MethodGet, path, ""))
				if len(next) != 1 {
					t.Errorf("%s has no next page", path)
					continue
				}
				if status, body := r.call(t, me.app, http.MethodGet, path+"&start="+next[0], ""); status != http.StatusBadRequest {
					t.Errorf("another workspace's cursor at %s: %d %s", path, status, body)
				}
				r.must(t, other.app, http.MethodGet, path+"&start="+next[0], "")
			}
			// Each half of one credential with the other half of the other's.
			for _, auth := range []string{me.site + ":" + other.track, other.site + ":" + me.track, me.app, me.agent + "x"} {
				if status, _ := r.call(t, auth, http.MethodPut, "/api/v1/customers/1", `{"first_name":"stolen"}`); status != http.StatusUnauthorized {
					t.Errorf("mixed credentials: %d", status)
				}
			}
		}
		for _, w := range []tenant{a, b} {
			if got := people(r.snapshot(t, w)); got != people(seen[w.name]) {
				t.Errorf("%s has changed:\n%s\nbefore:\n%s", w.name, got, people(seen[w.name]))
			}
		}

		before := r.snapshot(t, b)
		for i, link := range found(links, mails[a.name]) {
			link = strings.TrimPrefix(strings.ReplaceAll(link, "&amp;", "&"), r.url)
			method, want := http.MethodGet, http.StatusFound
			switch {
			case strings.HasPrefix(link, "/e/o/"):
				want = http.StatusOK
			case strings.HasPrefix(link, "/e/u/"):
				method, want = http.MethodPost, http.StatusOK
			}
			if status, body := r.call(t, "", method, link, ""); status != want {
				t.Errorf("link %d of alpha: %d %s", i, status, body)
			}
		}
		within(t, "alpha's people are unsubscribed", func() bool {
			return strings.Contains(r.must(t, a.app, http.MethodGet, "/v1/customers/3/attributes", ""), `"unsubscribed":true`)
		})
		r.must(t, a.basic(), http.MethodDelete, "/api/v1/customers/1", "")
		r.must(t, a.basic(), http.MethodPost, "/api/v1/customers/2/suppress", "")
		if status, _ := r.call(t, a.app, http.MethodGet, "/v1/customers/1/attributes", ""); status != http.StatusNotFound {
			t.Errorf("a deleted person: %d", status)
		}
		if after := r.snapshot(t, b); after != before {
			t.Errorf("what happened in alpha shows in beta:\n%s\nbefore:\n%s", after, before)
		}
		if got := r.must(t, a.adm, http.MethodGet, "/admin/v1/mailbox?limit=50&workspace=beta", ""); got != mails["beta"] {
			t.Error("beta's mailbox has changed")
		}
		r.identify(t, b, "2", `{"still":"`+strconv.Itoa(2)+`"}`) // suppressed in alpha only
		if got := r.must(t, b.app, http.MethodGet, "/v1/customers/2/attributes", ""); !strings.Contains(got, `"still":"2"`) {
			t.Errorf("beta's person 2: %s", got)
		}
	})
}

// people leaves the workspace's own activity list out, where another's failed attempt may leave a line of its own.
func people(snapshot string) string {
	before, rest, _ := strings.Cut(snapshot, "/v1/activities\n")
	_, after, _ := strings.Cut(rest, "/v1/workspaces\n")
	return before + after
}
