package mcp_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// tasks are what agents are asked to do. The last one uses up the limits.
var tasks = []struct {
	name string
	run  func(c *cell)
}{
	{"say where I am and what I may do", func(c *cell) {
		w := c.do("get_workspace", nil)
		c.is(w, "workspace.name", c.name)
		c.is(w, "scopes", everyScope)
		if c.is(w, "mode", map[bool]string{true: "customerio", false: "self"}[c.hosted]); c.hosted {
			c.is(w, "region", "eu")
			c.is(w, "rate_budget.archived_message", 80)
			c.is(w, "unsupported", []string{"report_outcome", "explain_membership"})
		}
	}},
	{"find a person by email", func(c *cell) {
		l := c.do("search_people", m{"email": "ada+1@example.com"})
		c.is(l, "items.0.identifiers.id", "ada")
		c.is(l, "items.1", nil)
	}},
	{"find people by a filter, page 3", func(c *cell) {
		args, seen := m{"filter": m{"attribute": m{"field": "plan", "operator": "eq", "value": "free"}}, "limit": 20}, map[string]bool{}
		for page := 1; page <= 3; page++ {
			if page == 3 {
				args["attributes"] = []string{"plan"}
				c.try("search_people", args, "invalid_input") // the cursor is of a list without attributes
				delete(args, "attributes")
			}
			l := c.do("search_people", args)
			for _, row := range l["items"].([]any) {
				seen[at(row, "identifiers.id").(string)] = true
			}
			if args["cursor"] = l["next_cursor"]; (page == 3) != (l["next_cursor"] == nil) {
				c.Errorf("page %d goes on with %v", page, l["next_cursor"])
			}
		}
		if len(seen) != 45 {
			c.Errorf("%d people, want 45", len(seen))
		}
	}},
	{"read a profile with its segments", func(c *cell) {
		p := c.do("get_person", m{"id": "ada+1@example.com", "id_type": "email", "include": []string{"attributes", "segments"}})
		c.is(p, "item.attributes.first_name", "Ada")
		c.is(p, "item.segments.0.name", "Paying customers")
	}},
	{"see no hidden attribute without the scope", func(c *cell) {
		c.is(c.by(c.modest, "get_person", m{"id": "ada"}, "ok"), "item.attributes.card_number", "[hidden]")
		c.is(c.do("get_person", m{"id": "ada"}), "item.attributes.card_number", "4111")
	}},
	{"change an attribute and undo it", func(c *cell) {
		w := c.do("upsert_person", m{"id": "ada", "attributes": m{"plan": "team"}})
		c.is(w, "changes.0.before", "pro")
		c.is(c.do("get_person", m{"id": "ada"}), "item.attributes.plan", "team")
		c.do("upsert_person", m{"id": "ada", "attributes": m{"plan": at(w, "changes.0.before")}})
		c.finally(func() { c.attribute("ada", "plan", "pro") })
	}},
	{"record an event twice with one id", func(c *cell) {
		args := m{"id": "ada", "name": "visited", "data": m{"page": "/pricing"}, "event_id": "01J8ZQ3V7N4W5X6Y7Z8A9B0C1D"}
		c.is(c.do("track_event", args), "id", args["event_id"])
		c.do("track_event", args)
		for range 4 { // each of these once, whatever becomes of the answers
			c.do("track_event", m{"id": "ada", "name": "looked"})
		}
		c.finally(func() {
			var l struct{ Activities []struct{ Name string } }
			c.look("/v1/customers/ada/activities?type=event&limit=100", &l)
			got := map[string]int{}
			for _, a := range l.Activities {
				got[a.Name]++
			}
			c.is(m{"visited": got["visited"], "looked": got["looked"]}, "visited", 1)
			c.is(m{"looked": got["looked"]}, "looked", 4)
		})
	}},
	{"unsubscribe somebody from a topic", func(c *cell) {
		topic := at(c.do("list_content", m{"type": "topics"}), "items.0.id").(string)
		c.do("set_subscription", m{"id": "ada", "topics": m{topic: false}})
		c.is(c.do("get_person", m{"id": "ada", "include": []string{"subscriptions"}}), "item.subscriptions.0.subscribed", false)
		c.finally(func() {
			var p m
			c.look("/v1/customers/ada/subscription_preferences", &p)
			c.is(p, "customer.topics.0.subscribed", false)
		})
	}},
	{"subscribe nobody without their consent", func(c *cell) {
		c.is(c.try("set_subscription", m{"id": "bob", "unsubscribed": false}, "policy_blocked"), "field", "consent_source")
		c.finally(func() {
			var p m
			c.look("/v1/customers/bob/attributes", &p)
			c.is(p, "customer.unsubscribed", true)
		})
	}},
	{"delete a person", func(c *cell) {
		c.is(c.try("remove_person", m{"id": "gone", "action": "delete", "confirm_id": "ada"}, "invalid_input"), "field", "confirm_id")
		c.do("remove_person", m{"id": "gone", "action": "delete", "confirm_id": "gone"})
		c.finally(func() { c.look("/v1/customers/gone/attributes", nil) })
	}},
	{"merge two people", func(c *cell) {
		c.do("merge_people", m{"primary": "one", "secondary": "two"})
		c.finally(func() {
			c.attribute("one", "colour", "red")
			c.look("/v1/customers/two/attributes", nil)
		})
	}},
	{"send a batch with one bad item", func(c *cell) {
		op := func(id string) m {
			return m{"type": "person", "action": "identify", "identifiers": m{"id": id}, "attributes": m{"batch": "yes"}}
		}
		w := c.do("batch_people", m{"operations": []m{op("first"), {"type": "person", "action": "identify", "identifiers": m{}}, op("third")}})
		c.is(w, "errors.0.batch_index", 1)
		c.is(w, "errors.1", nil)
		c.finally(func() {
			c.attribute("first", "batch", "yes")
			c.attribute("third", "batch", "yes")
		})
	}},
	{"list the segments", func(c *cell) {
		if got := c.names(c.do("list_segments", m{})); !slices.Equal(got, []string{"Launch", "Paying customers", "VIP"}) {
			c.Errorf("segments %v", got)
		}
	}},
	{"count a segment", func(c *cell) {
		c.is(c.do("get_segment", m{"segment_id": c.segment("Paying"), "include": []string{"count"}}), "item.count", 3)
	}},
	{"tell what uses a segment", func(c *cell) {
		s := c.do("get_segment", m{"segment_id": c.segment("Launch"), "include": []string{"used_by"}})
		if used, _ := at(s, "item.used_by.campaigns").([]any); len(used) != 1 {
			c.Errorf("used by %v", at(s, "item.used_by"))
		}
	}},
	{"preview an audience on a channel", func(c *cell) {
		p := c.do("preview_audience", m{"segment_id": c.segment("Paying"), "channel": "email", "sample": 1})
		for path, want := range map[string]any{"size": 3, "reachable": 1, "excluded.unsubscribed": 1, "excluded.no_email": 1, "exact": true, "sample.0.identifiers.id": "ada"} {
			c.is(p, path, want)
		}
	}},
	{"create a segment", func(c *cell) {
		c.by(c.full, "create_segment", m{"name": "Beta", "dry_run": true}, "dry_run")
		c.do("create_segment", m{"name": "Beta", "description": "tries things"})
		c.finally(func() {
			var l struct{ Segments []struct{ Name string } }
			c.look("/v1/segments", &l)
			if n := len(slices.DeleteFunc(l.Segments, func(s struct{ Name string }) bool { return s.Name != "Beta" })); n != 1 {
				c.Errorf("%d segments are called Beta", n)
			}
		})
	}},
	{"refuse 1,001 ids in a call", func(c *cell) {
		ids := make([]string, 1001)
		for i := range ids {
			ids[i] = fmt.Sprint("p", i)
		}
		c.is(c.try("update_segment_members", m{"segment_id": c.segment("VIP"), "add": ids}, "invalid_input"), "field", "add")
	}},
	{"put people into a segment and take one out", func(c *cell) {
		id := c.segment("VIP")
		c.do("update_segment_members", m{"segment_id": id, "add": []string{"ada", "bob"}})
		c.do("update_segment_members", m{"segment_id": id, "remove": []string{"bob"}})
		c.is(c.do("get_segment", m{"segment_id": id, "include": []string{"members"}}), "item.members.0.identifiers.id", "ada")
		c.finally(func() {
			var l struct{ IDs []string }
			c.look("/v1/segments/"+id+"/membership", &l)
			if !slices.Equal(l.IDs, []string{"ada"}) {
				c.Errorf("VIPs are %v", l.IDs)
			}
		})
	}},
	{"delete no segment that is used", func(c *cell) {
		id := c.segment("Launch")
		c.try("delete_segment", m{"segment_id": id, "confirm_name": "launch"}, "invalid_input")
		c.try("delete_segment", m{"segment_id": id, "confirm_name": "Launch"}, "conflict")
		c.finally(func() { c.look("/v1/segments/"+id, &m{}) })
	}},
	{"list the campaigns of a state", func(c *cell) {
		if got := c.names(c.do("list_messages", m{"kind": "campaign", "state": "running"})); !slices.Equal(got, []string{"Onboarding"}) {
			c.Errorf("running campaigns %v", got)
		}
	}},
	{"read what a campaign sends", func(c *cell) {
		id := at(c.do("list_messages", m{"kind": "campaign", "query": "onboard"}), "items.0.id")
		c.is(c.do("get_message", m{"kind": "campaign", "id": id, "include": []string{"actions"}}), "item.actions.0.subject", "Welcome, {{ customer.first_name }}")
	}},
	{"list what bounced today", func(c *cell) {
		l := c.do("list_deliveries", m{"metric": "bounced", "since": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)})
		c.is(l, "items.0.person", "bounce")
		c.is(l, "items.1", nil)
	}},
	{"tell why a delivery failed", func(c *cell) {
		id := at(c.do("list_deliveries", m{"person": "nameless"}), "items.0.id")
		if why, _ := at(c.do("get_delivery", m{"delivery_id": id}), "item.failure").(string); !strings.Contains(why, "first_name") {
			c.Errorf("it failed because %q", why)
		}
	}},
	{"read a body with the scope for it", func(c *cell) {
		id := at(c.do("list_deliveries", m{"person": "ada", "metric": "sent"}), "items.0.id")
		c.by(c.modest, "get_delivery", m{"delivery_id": id, "include_body": true}, "forbidden_scope")
		if body, _ := at(c.do("get_delivery", m{"delivery_id": id, "include_body": true}), "item.body").(string); !strings.Contains(body, "Hello from Acme") {
			c.Errorf("the body is %q", body)
		}
	}},
	{"choose a service for a task", func(c *cell) {
		l := c.do("search_services", m{"intent": "send transactional email", "limit": 3, "compact": true})
		if rows, _ := l["items"].([]any); len(rows) != 3 || at(l, "items.0.readiness") == nil {
			c.Errorf("services %v", l)
		}
	}},
	{"show how to connect a service", func(c *cell) {
		if guide := fmt.Sprint(c.do("get_service_detail", m{"service_id": "customer-io"})); !strings.Contains(guide, "track.customer.io") {
			c.Errorf("the guide is %s", guide)
		}
	}},
	{"report an outcome, which stays out of the public score", func(c *cell) {
		before := c.do("get_service_detail", m{"service_id": "postmark", "sections": []string{"score"}})
		if c.hosted {
			return // nobody there keeps reports; get_workspace says so
		}
		c.do("report_outcome", m{"service_id": "postmark", "task": "send a receipt", "success": true, "latency_ms": 120})
		after := c.do("get_service_detail", m{"service_id": "postmark", "sections": []string{"score"}})
		c.is(after, "item", at(before, "item"))
		c.is(c.do("get_service_detail", m{"service_id": "postmark", "sections": []string{"reports"}}), "item.reports.reports.0.reports", 1)
	}},
	{"many at once", func(c *cell) {
		c.crowd()
		var wg sync.WaitGroup
		for i := range 50 {
			id := fmt.Sprintf("free%02d", i%45)
			if i%2 == 0 {
				wg.Go(func() { c.do("get_person", m{"id": id}) })
			} else {
				wg.Go(func() { c.do("upsert_person", m{"id": fmt.Sprint("crowd", i), "attributes": m{"n": i}}) })
			}
		}
		wg.Wait()
		c.after()
		c.do("get_person", m{"id": "ada"})
		c.finally(func() {
			for _, i := range []int{1, 25, 49} {
				c.attribute(fmt.Sprint("crowd", i), "n", i)
			}
		})
	}},
}

// attribute checks one of a person's attributes in the back end.
func (c *cell) attribute(person, name string, want any) {
	c.Helper()
	var p m
	c.look("/v1/customers/"+person+"/attributes", &p)
	c.is(p, "customer.attributes."+name, want)
}

// segment is the id of the segment whose name begins so.
func (c *cell) segment(name string) string {
	c.Helper()
	if c.segments[name] == "" {
		c.segments[name], _ = at(c.do("list_segments", m{"query": name}), "items.0.id").(string)
	}
	return c.segments[name]
}

// names are those of a list, sorted.
func (c *cell) names(l m) (out []string) {
	for _, row := range l["items"].([]any) {
		out = append(out, at(row, "name").(string))
	}
	slices.Sort(out)
	return out
}
