package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/id"
	"rapport.example/internal/workspace"
)

type (
	// who names a person.
	who struct {
		ID     string `json:"id" jsonschema:"the person's identifier"`
		IDType string `json:"id_type,omitempty" jsonschema:"default id" enum:"id,email,cio_id"`
	}

	searchPeopleIn struct {
		Email      string         `json:"email,omitempty" jsonschema:"find by exact address; instead of filter"`
		Filter     map[string]any `json:"filter,omitempty" jsonschema:"{and:[F]}, {or:[F]}, {not:F}, {segment:{id}} or {attribute:{field,operator:eq|exists,value}}"`
		Attributes []string       `json:"attributes,omitempty" jsonschema:"also show these attributes, at most 20"`
		page
	}
	personRow struct {
		Identifiers map[string]string `json:"identifiers"`
		Attributes  map[string]string `json:"attributes,omitempty"`
	}

	getPersonIn struct {
		who
		Include []string `json:"include,omitempty" jsonschema:"default attributes" enum:"attributes,segments,messages,activities,subscriptions,relationships"`
		page
	}
	getPersonOut struct {
		Item       personItem `json:"item"`
		NextCursor string     `json:"next_cursor,omitempty"`
		Truncated  bool       `json:"truncated,omitempty" jsonschema:"there is more: include one list alone to page over it"`
	}
	personItem struct {
		Identifiers   map[string]string `json:"identifiers"`
		Unsubscribed  bool              `json:"unsubscribed"`
		Attributes    map[string]string `json:"attributes,omitempty"`
		Segments      []segmentRow      `json:"segments,omitempty"`
		Messages      []delivery        `json:"messages,omitempty"`
		Activities    []activity        `json:"activities,omitempty"`
		Subscriptions []subscription    `json:"subscriptions,omitempty"`
		Relationships []map[string]any  `json:"relationships,omitempty"`
	}
	activity struct {
		ID   text           `json:"id"`
		Type text           `json:"type"`
		Name text           `json:"name,omitempty"`
		At   string         `json:"at"`
		Data map[string]any `json:"data,omitempty"`
	}
	subscription struct {
		ID         text `json:"id"`
		Name       text `json:"name"`
		Subscribed bool `json:"subscribed"`
	}

	upsertIn struct {
		who
		Attributes   map[string]any `json:"attributes" jsonschema:"values to set; null or empty string removes"`
		OnlyExisting bool           `json:"only_existing,omitempty" jsonschema:"do nothing if the person does not exist"`
		writing
	}
	trackIn struct {
		who
		Name      string         `json:"name" jsonschema:"1-100 bytes; campaigns listen to exact names"`
		Data      map[string]any `json:"data,omitempty"`
		EventID   string         `json:"event_id,omitempty" jsonschema:"a ULID that names this event; made if left out"`
		Timestamp string         `json:"timestamp,omitempty" jsonschema:"RFC 3339; default now; older than 72 hours starts no campaign"`
		writing
	}
	subscribeIn struct {
		who
		Unsubscribed  *bool           `json:"unsubscribed,omitempty" jsonschema:"from everything"`
		Topics        map[string]bool `json:"topics,omitempty" jsonschema:"topic id to whether subscribed; others stay"`
		ConsentSource string          `json:"consent_source,omitempty" jsonschema:"needed to subscribe: where and when the person agreed; kept as the attribute consent_source"`
		writing
	}
)

func (s *Server) peopleTools() error {
	return errors.Join(
		declare(s, spec{
			setPeople, "search_people", "Find people", "Find people (customers, users) by exact email, or everybody who matches a filter over segments and attributes, page by page. Use get_person for one.",
			workspace.Read, reads, false,
		}, s.searchPeople),
		declare(s, spec{
			setPeople, "get_person", "Read a person", "Show one person's profile: attributes and, by include, the segments they belong to, recent activity, messages, and topics they are subscribed to.",
			workspace.Read, reads, false,
		}, s.getPerson),
		declare(s, spec{
			setPeople, "upsert_person", "Create or change a person",
			"Add a new person (customer, user) or change attributes such as name, plan or country, and tell how to undo it. It can start campaigns and so send messages; try dry_run first.",
			workspace.WriteScope, live, false,
		}, s.upsertPerson),
		declare(s, spec{
			setPeople, "track_event", "Record an event",
			"Record, or log, that something happened to a person, such as a sign-up or purchase; event_id keeps a retry from counting twice. It can start campaigns and so send messages.",
			workspace.WriteScope, triggers, false,
		}, s.trackEvent),
		declare(s, spec{
			setPeople, "set_subscription", "Subscribe or unsubscribe",
			"Unsubscribe a person from all emails or from topics, or opt them back in, which needs consent_source: where they agreed. What it does not name stays.",
			workspace.WriteLive, changes, false,
		}, s.setSubscription),
	)
}

// path checks a person's identifier and returns its escaped path segment and the id_type query.
func (p who) path() (segment string, q url.Values, err error) {
	switch {
	case strings.TrimSpace(p.ID) == "":
		return "", nil, invalid("id", "must not be empty")
	case len(p.ID) > 150:
		return "", nil, invalid("id", "must be at most 150 bytes")
	case p.ID == "." || p.ID == "..":
		return "", nil, invalid("id", "cannot be a path")
	case (p.IDType == "" || p.IDType == "id") && strings.Contains(p.ID, "@"):
		return "", nil, invalid("id", "looks like an email address, and the Track API takes it for one; use id_type email")
	case (p.IDType == "" || p.IDType == "id") && strings.HasPrefix(p.ID, "cio_"):
		return "", nil, invalid("id", "looks like a cio_id, and the Track API takes it for one; use id_type cio_id")
	case p.IDType == "" || p.IDType == "id":
		return escaped(p.ID), url.Values{"id_type": {"id"}}, nil
	case p.IDType == "email" && !strings.Contains(p.ID, "@"):
		return "", nil, invalid("id", "is not an email address")
	case p.IDType == "email":
		return escaped(p.ID), url.Values{"id_type": {"email"}}, nil
	case p.IDType == "cio_id":
		return escaped("cio_" + strings.TrimPrefix(p.ID, "cio_")), url.Values{"id_type": {"cio_id"}}, nil
	}
	return "", nil, invalid("id_type", "must be id, email or cio_id")
}

// body is the identifier as Track v2 and merges have it.
func (p who) body() map[string]any {
	kind := p.IDType
	if kind == "" {
		kind = "id"
	}
	return map[string]any{kind: p.ID}
}

// customer is a person as the App API shows them.
type customer struct {
	Identifiers  map[string]text `json:"identifiers"`
	Attributes   map[string]text `json:"attributes"`
	Unsubscribed bool            `json:"unsubscribed"`
}

func (c *customer) identifiers() map[string]string { return texts(c.Identifiers) }

// texts are the values that are there.
func texts(m map[string]text) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if v != "" {
			out[clean(k)] = string(v)
		}
	}
	return out
}

func (s *Server) searchPeople(ctx context.Context, c *Client, in searchPeopleIn) (out listOut[personRow], err error) {
	switch {
	case (in.Email == "") == (len(in.Filter) == 0):
		return out, invalid("email", "or filter must be given, and not both")
	case len(in.Attributes) > 20:
		return out, invalid("attributes", "must name at most 20")
	}
	out, err = paged(s, in.page, "search_people", []any{in.Email, textOf(in.Filter), in.Attributes}, func(limit int, start string) ([]personRow, string, error) {
		var l struct {
			Results     []map[string]text `json:"results"`
			Identifiers []map[string]text `json:"identifiers"`
			Next        string            `json:"next"`
		}
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		if start != "" {
			q.Set("start", start)
		}
		var err error
		if in.Email != "" {
			err = c.read(ctx, "/v1/customers", url.Values{"email": {in.Email}}, &l)
		} else {
			err = c.ask(ctx, "/v1/customers", q, map[string]any{"filter": in.Filter}, &l)
		}
		rows := make([]personRow, 0, len(l.Results)+len(l.Identifiers))
		for _, m := range slices.Concat(l.Results, l.Identifiers) {
			rows = append(rows, personRow{Identifiers: texts(m)})
		}
		if rows = rows[:min(len(rows), mostPeople)]; err == nil && len(in.Attributes) > 0 && len(rows) > 0 {
			err = s.attributesOf(ctx, c, rows, in.Attributes)
		}
		return rows, l.Next, err
	})
	return out, err
}

// mostPeople is how many people's attributes the API answers at once. Of one address it lists more only if that many share it.
const mostPeople = 100

// attributesOf adds attributes to a page of people.
func (s *Server) attributesOf(ctx context.Context, c *Client, rows []personRow, names []string) error {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = "cio_" + strings.TrimPrefix(r.Identifiers["cio_id"], "cio_")
	}
	var l struct {
		Customers []struct {
			Customer customer `json:"customer"`
		} `json:"customers"`
	}
	if err := c.ask(ctx, "/v1/customers/attributes", url.Values{"id_type": {"cio_id"}}, map[string]any{"ids": ids}, &l); err != nil {
		return err
	}
	found := map[string]*customer{}
	for i := range l.Customers {
		found[string(l.Customers[i].Customer.Identifiers["cio_id"])] = &l.Customers[i].Customer
	}
	for i := range rows {
		rows[i].Attributes = map[string]string{}
		if p := found[rows[i].Identifiers["cio_id"]]; p != nil {
			for _, name := range names {
				if v, ok := p.Attributes[name]; ok {
					rows[i].Attributes[clean(name)] = s.seen(ctx, name, string(v))
				}
			}
		}
	}
	return nil
}

// included are the parts that get_person knows, and whether the API lists them in pages.
var included = map[string]bool{"attributes": false, "segments": false, "subscriptions": false, "messages": true, "activities": true, "relationships": true}

// paging tells whether a cursor can belong to one of the parts only: the one that comes in pages, or the only one.
func paging(parts []string) (one string, err error) {
	pages := 0
	for _, part := range parts {
		paged, ok := included[part]
		if !ok {
			return "", invalid("include", "knows %s", strings.Join(sortedKeys(included), ", "))
		}
		if paged {
			pages++
		}
		if paged && pages == 1 || len(parts) == 1 {
			one = part
		}
	}
	if pages > 1 {
		one = ""
	}
	return one, nil
}

func (s *Server) getPerson(ctx context.Context, c *Client, in getPersonIn) (out getPersonOut, err error) {
	if len(in.Include) == 0 {
		in.Include = []string{"attributes"}
	}
	one, err := paging(in.Include)
	if err != nil {
		return out, err
	}
	if in.Cursor != "" && one == "" {
		return out, invalid("cursor", "pages over one list: include only that one")
	}
	seg, q, err := in.path()
	if err != nil {
		return out, err
	}
	var a struct {
		Customer customer `json:"customer"`
	}
	if err := c.read(ctx, "/v1/customers/"+seg+"/attributes", q, &a); err != nil {
		return out, hinted(err, http.StatusNotFound, wrongType)
	}
	out.Item = personItem{Identifiers: a.Customer.identifiers(), Unsubscribed: a.Customer.Unsubscribed}
	in.room = mostRoom / len(in.Include)
	for _, what := range in.Include {
		p := part{s, c, in, "/v1/customers/" + seg + "/", q}
		if what != one {
			p.in.Cursor = ""
		}
		var l more
		switch what {
		case "attributes":
			out.Item.Attributes, l, err = p.attributes(ctx, &a.Customer)
		case "segments":
			out.Item.Segments, l, err = p.segments(ctx)
		case "subscriptions":
			out.Item.Subscriptions, l, err = p.subscriptions(ctx)
		case "messages":
			out.Item.Messages, l, err = listPart(ctx, p, what, message.delivery)
		case "activities":
			out.Item.Activities, l, err = listPart(ctx, p, what, func(e entry) activity { return s.activity(ctx, e) })
		case "relationships":
			out.Item.Relationships, l, err = listPart(ctx, p, what, func(m map[string]any) map[string]any { return cleanAll(m).(map[string]any) })
		}
		if err != nil {
			return out, err
		}
		if out.Truncated = out.Truncated || l.truncated; what == one {
			out.NextCursor = l.next
		}
	}
	return out, nil
}

// more says whether a list goes on, or was cut.
type more struct {
	next      string
	truncated bool
}

// part reads parts of a person.
type part struct {
	s    *Server
	c    *Client
	in   getPersonIn
	path string
	q    url.Values
}

// attributes are those that there is room for, by name.
func (p part) attributes(ctx context.Context, of *customer) (map[string]string, more, error) {
	type pair struct{ Name, Value string }
	rows := make([]pair, 0, len(of.Attributes))
	for _, k := range sortedKeys(of.Attributes) {
		rows = append(rows, pair{clean(k), p.s.seen(ctx, k, string(of.Attributes[k]))})
	}
	l, err := wholePart(p, "attributes", rows)
	out := make(map[string]string, len(l.Items))
	for _, r := range l.Items {
		out[r.Name] = r.Value
	}
	return out, more{l.NextCursor, l.Truncated}, err
}

// wholePart fits a part that the API answers without pages.
func wholePart[T any](p part, what string, rows []T) (listOut[T], error) {
	return fit(p.s, p.in.page, "get_person", []any{p.in.ID, p.in.IDType, what}, rows)
}

func (p part) segments(ctx context.Context) ([]segmentRow, more, error) {
	var l struct {
		Segments []segmentRow `json:"segments"`
	}
	if err := p.c.read(ctx, p.path+"segments", p.q, &l); err != nil {
		return nil, more{}, err
	}
	out, err := wholePart(p, "segments", l.Segments)
	return out.Items, more{out.NextCursor, out.Truncated}, err
}

func (p part) subscriptions(ctx context.Context) ([]subscription, more, error) {
	var l struct {
		Customer struct {
			Topics []subscription `json:"topics"`
		} `json:"customer"`
	}
	if err := p.c.read(ctx, p.path+"subscription_preferences", p.q, &l); err != nil {
		return nil, more{}, err
	}
	out, err := wholePart(p, "subscriptions", l.Customer.Topics)
	return out.Items, more{out.NextCursor, out.Truncated}, err
}

// listPart reads a page of one of a person's lists.
func listPart[From, To any](ctx context.Context, p part, what string, convert func(From) To) ([]To, more, error) {
	key := what
	if what == "relationships" {
		key = "cio_relationships"
	}
	out, err := paged(p.s, p.in.page, "get_person", []any{p.in.ID, p.in.IDType, what}, func(limit int, start string) ([]To, string, error) {
		return readList(ctx, p.c, p.path+what, p.q, key, limit, start, convert)
	})
	return out.Items, more{out.NextCursor, out.Truncated}, err
}

func (s *Server) upsertPerson(ctx context.Context, c *Client, in upsertIn) (out writeOut, err error) {
	seg, q, err := in.path()
	if err != nil {
		return out, err
	}
	if len(in.Attributes) == 0 {
		return out, invalid("attributes", "must name at least one attribute")
	}
	var before struct {
		Customer customer `json:"customer"`
	}
	err = c.read(ctx, "/v1/customers/"+seg+"/attributes", q, &before)
	var api *APIError
	exists := err == nil
	if err != nil && (!errors.As(err, &api) || api.Status != http.StatusNotFound) {
		return out, err
	}
	body := make(map[string]any, len(in.Attributes)+1)
	for _, k := range sortedKeys(in.Attributes) {
		v := in.Attributes[k]
		switch {
		case k == "unsubscribed" || strings.HasPrefix(k, "cio_subscription_preferences"):
			return out, invalid("attributes", "do not set %s: use set_subscription", clean(k))
		case k == "cio_relationships" || k == "_update" || k == "_timestamp" || k == "anonymous_id" || k == "cio_id":
			return out, invalid("attributes", "do not set %s", clean(k))
		}
		body[k] = v
		if was, after := string(before.Customer.Attributes[k]), textOf(v); was != after {
			out.Changes = append(out.Changes, change{clean(k), s.seen(ctx, k, was), clean(after)})
		}
	}
	if out.Undo = "upsert_person with the values before"; !exists {
		out.Undo = "remove_person deletes the person"
	}
	if in.OnlyExisting {
		body["_update"] = true
		if !exists {
			out.Changes, out.Undo = nil, ""
		}
	}
	err = c.send(ctx, in.writing, call{class: trackClass, method: http.MethodPut, path: "/api/v1/customers/" + seg, body: body}, &out, nil)
	return out, err
}

func (s *Server) trackEvent(ctx context.Context, c *Client, in trackIn) (out writeOut, err error) {
	seg, _, err := in.path()
	if err != nil {
		return out, err
	}
	name := strings.TrimSpace(in.Name)
	if name == "" || len(name) > 100 {
		return out, invalid("name", "must be 1 to 100 bytes")
	}
	at, err := seconds("timestamp", in.Timestamp)
	if err != nil {
		return out, err
	}
	if err := ownAddress("data", in.Data); err != nil {
		return out, err
	}
	if in.EventID == "" {
		in.EventID = id.New(s.o.Now()) // so that it can be sent again after a broken connection
	}
	body := map[string]any{"name": name, "id": in.EventID}
	if in.Data != nil {
		body["data"] = in.Data
	}
	if at != 0 {
		body["timestamp"] = at
	}
	out = writeOut{Changes: []change{{Field: "event", After: clean(name)}}, ID: in.EventID, Undo: "an event cannot be taken back"}
	err = c.send(ctx, in.writing, call{class: trackClass, method: http.MethodPost, path: "/api/v1/customers/" + seg + "/events", body: body, again: true}, &out, nil)
	return out, err
}

func (s *Server) setSubscription(ctx context.Context, c *Client, in subscribeIn) (out writeOut, err error) {
	seg, q, err := in.path()
	if err != nil {
		return out, err
	}
	if in.Unsubscribed == nil && len(in.Topics) == 0 {
		return out, invalid("unsubscribed", "or topics must be given")
	}
	subscribes := in.Unsubscribed != nil && !*in.Unsubscribed
	body := map[string]any{"_update": true}
	var before struct {
		Customer customer `json:"customer"`
	}
	if err := c.read(ctx, "/v1/customers/"+seg+"/attributes", q, &before); err != nil {
		return out, hinted(err, http.StatusNotFound, wrongType)
	}
	if in.Unsubscribed != nil {
		body["unsubscribed"] = *in.Unsubscribed
		out.Changes = append(out.Changes, change{"unsubscribed", strconv.FormatBool(before.Customer.Unsubscribed), strconv.FormatBool(*in.Unsubscribed)})
	}
	for _, topic := range sortedKeys(in.Topics) {
		if topic == "" || strings.ContainsAny(topic, ". ") || len(topic) > 50 {
			return out, invalid("topics", "must have ids of topics as names")
		}
		body["cio_subscription_preferences.topics.topic_"+strings.TrimPrefix(topic, "topic_")] = in.Topics[topic]
		out.Changes = append(out.Changes, change{Field: "topic_" + clean(strings.TrimPrefix(topic, "topic_")), After: strconv.FormatBool(in.Topics[topic])})
		subscribes = subscribes || in.Topics[topic]
	}
	if subscribes {
		if strings.TrimSpace(in.ConsentSource) == "" {
			return out, &toolError{
				Code: "policy_blocked", Field: "consent_source", Message: "subscribing somebody needs consent_source",
				Hint: "say where and when the person agreed; without that, only unsubscribe",
			}
		}
		body["consent_source"] = in.ConsentSource
		out.Changes = append(out.Changes, change{"consent_source", string(before.Customer.Attributes["consent_source"]), clean(in.ConsentSource)})
	}
	out.Undo = "set_subscription with the values before"
	err = c.send(ctx, in.writing, call{class: trackClass, method: http.MethodPut, path: "/api/v1/customers/" + seg, body: body}, &out, nil)
	return out, err
}

// entry is an activity as the App API shows it.
type entry struct {
	ID   text           `json:"id"`
	Type text           `json:"type"`
	Name text           `json:"name"`
	At   json.Number    `json:"timestamp"`
	Data map[string]any `json:"data"`
}

// activity is one as the caller may see it: what it tells of sensitive attributes is hidden like them.
func (s *Server) activity(ctx context.Context, e entry) activity {
	a := activity{ID: e.ID, Type: e.Type, Name: e.Name, At: rfc3339(e.At)}
	if len(e.Data) > 0 {
		a.Data = make(map[string]any, len(e.Data))
		for k, v := range e.Data {
			if a.Data[clean(k)] = cleanAll(v); s.seen(ctx, k, "x") == hidden {
				a.Data[clean(k)] = hidden
			}
		}
	}
	return a
}
