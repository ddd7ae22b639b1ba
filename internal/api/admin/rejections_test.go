package admin_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// TestRejections lists what was accepted and not applied: of people, of nobody, an op that breaks and a repeated request;
// by kind, reason and time, in pages of any size.
func TestRejections(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newServer(t, db, nil)
		broken := s.Op(ingest.Delete, ingest.PersonPayload{})
		broken.Payload = value.Value(`[]`)
		s.Do(s.Identify("ada", `{"email":"ada@example.com"}`))
		s.Do(s.Identify("bob", `{"email":"ada@example.com"}`), broken)
		s.Advance(time.Hour)
		late := s.Op(ingest.Event, ingest.EventPayload{By: ingest.By{CIO: "aaaaaaaaaaaaaaaa"}, Type: 1, Name: "bought"})
		s.Do(late)
		s.Do(s.Op(ingest.Refused, ingest.RefusedPayload{By: ingest.By{ID: "ada"}, Event: true, Reason: "the message is too old", Count: 3}))
		list := func(query string) (out []string) {
			for next := ""; ; {
				page := call[admin.RejectionsAnswer](s, "GET", "rejections?"+query+"&start="+url.QueryEscape(next), nil, 200)
				for _, r := range page.Rejections {
					who := "-"
					if r.Person != nil {
						who = r.Person.ID + " " + r.Person.Email
					}
					if r.Op == "" {
						t.Errorf("%+v names no op", r)
					}
					out = append(out, fmt.Sprintf("%s %d %s: %s %s", r.Kind, r.Count, who, r.Reason, r.Detail))
				}
				if next = page.Next; next == "" {
					return out
				}
			}
		}
		all := []string{
			"failed_event 3 ada ada@example.com: the message is too old null",
			`failed_event 1 -: no person has this cio_id {"cio_id":"aaaaaaaaaaaaaaaa"}`,
			`rejected 1 -: internal {"name":"op kind 2"}`,
			`failed_attribute_change 1 bob : email belongs to another person null`,
		}
		hour := fmt.Sprint(apitest.Start.Add(time.Hour).Unix())
		for query, want := range map[string][]string{
			"":                             all,
			"limit=1":                      all,
			"limit=3":                      all,
			"kind=failed_event":            all[:2],
			"kind=failed_event&limit=1":    all[:2],
			"kind=rejected":                all[2:3],
			"kind=failed_attribute_change": all[3:],
			"reason=PERSON":                {all[1], all[3]},
			"reason=nothing":               nil,
			"since=" + hour:                all[:2],
			"until=" + hour:                all[2:],
			"since=" + hour + "&until=1":   nil,
		} {
			if diff := cmp.Diff(want, list(query)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
		next := call[admin.RejectionsAnswer](s, "GET", "rejections?limit=1", nil, 200).Next
		for _, bad := range []string{"kind=event", "since=yesterday", "until=-1", "limit=0", "start=x", "kind=rejected&start=" + url.QueryEscape(next)} {
			call[problem](s, "GET", "rejections?"+bad, nil, 400)
		}
		call[problem](s, "GET", "rejections?workspace=none", nil, 404)
		s.Do(s.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "ada"}}))
		for _, line := range list("") {
			if strings.Contains(line, "ada") {
				t.Errorf("after the deletion: %s", line)
			}
		}
	})
}
