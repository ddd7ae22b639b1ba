package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"rapport.example/cmd/rapport/internal/load"
	"rapport.example/internal/api/app"
	"rapport.example/internal/value"
)

const (
	searchConnections = 4
	deepPage          = 1000
)

// search measures POST /v1/customers: by a segment and by an attribute that a fifth of the people have, the first page and page
// 1,000 of them; and by an attribute of one in 5,000, where a page is as many people as a page may look at.
func (x *run) search(ctx context.Context) error {
	if _, err := x.child.settled(ctx); err != nil {
		return err
	}
	var segments app.SegmentsAnswer
	if err := x.child.app(ctx, http.MethodGet, "/v1/segments", nil, &segments); err != nil {
		return err
	}
	i := slices.IndexFunc(segments.Segments, func(s app.Segment) bool { return s.Name == "Segment 1" })
	if i < 0 {
		return fmt.Errorf("segment 1 is not among %d", len(segments.Segments))
	}
	attribute := func(name, is string) string {
		return fmt.Sprintf(`{"filter":{"attribute":{"field":%q,"operator":"eq","value":%q}}}`, name, is)
	}
	limit := min(max(x.o.People/6000, 1), 50) // so that there is a page 1,000
	for _, by := range []struct{ name, body string }{
		{"segment", fmt.Sprintf(`{"filter":{"segment":{"id":%d}}}`, segments.Segments[i].ID)}, {"attribute", attribute("plan", "pro")},
	} {
		if err := x.page(ctx, "search by "+by.name+", page 1", "", by.body, limit); err != nil {
			return err
		}
		start, pages, err := x.deep(ctx, by.body, limit)
		if err != nil {
			return fmt.Errorf("by %s: %w", by.name, err)
		}
		if err := x.page(ctx, fmt.Sprintf("search by %s, page %d", by.name, pages), start, by.body, limit); err != nil {
			return err
		}
	}
	return x.page(ctx, "search by a rare attribute, page 1", "", attribute("company", "Company 77"), 50)
}

// deep walks to page 1,000, or to the last full one before.
func (x *run) deep(ctx context.Context, body string, limit int) (start string, page int, err error) {
	for page = 1; page < deepPage; page++ {
		var found app.FoundAnswer
		if err := x.child.app(ctx, http.MethodPost, searchPath(start, limit), value.Value(body), &found); err != nil {
			return "", 0, err
		}
		if found.Next == "" {
			return start, page, nil
		}
		if len(found.IDs) != limit {
			return "", 0, fmt.Errorf("page %d has %d people, want %d", page, len(found.IDs), limit)
		}
		start = found.Next
	}
	return start, page, nil
}

func searchPath(start string, limit int) string {
	path := "/v1/customers?limit=" + strconv.Itoa(limit)
	if start != "" {
		path += "&start=" + start // base64url
	}
	return path
}

// page measures one page over and over.
func (x *run) page(ctx context.Context, name, start, body string, limit int) error {
	p := newBearer(x.child.addr, x.child.key)
	var res load.Result
	err := x.send(ctx, load.Options{Connections: searchConnections, Duration: x.o.Load / 5, Request: func(dst []byte, _ int64) []byte {
		return p.post(dst, literal(searchPath(start, limit)), literal(body))
	}}, &res)
	if err != nil {
		return err
	}
	x.r.add(key{name + ": p50", searchConnections, "ms"}, ms(res.Quantile(0.5)))
	x.r.add(key{name + ": p99", searchConnections, "ms"}, ms(res.Quantile(0.99)))
	return nil
}

// app asks the App API. body is JSON, or nil.
func (c *child) app(ctx context.Context, method, path string, body value.Value, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}
