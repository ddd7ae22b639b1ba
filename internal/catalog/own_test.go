package catalog_test

import (
	"testing"

	"rapport.example/internal/catalog"
)

// TestOwn: our own product goes through the same scores, and what the server does not have fails its check.
func TestOwn(t *testing.T) {
	t.Parallel()
	facts := catalog.OwnFacts{
		Base: "http://127.0.0.1:1", Version: "v1", Day: "2026-01-02", Scopes: []string{"read"},
		Routes: []catalog.OwnRoute{
			{API: "Track", Method: "PUT", Path: "/a", Purpose: "A.", Shape: "one", Built: true},
			{API: "App", Method: "GET", Path: "/b", Purpose: "B.", Shape: "two", Built: true},
			{API: "App", Method: "GET", Path: "/c", Purpose: "Not built yet.", Shape: "three"},
		},
		Tools:  []catalog.OwnTool{{Name: "read_it", ReadOnly: true, Strict: true, Output: true}, {Name: "write_it", Strict: true, Output: true, DryRun: true}},
		Limits: []catalog.RateLimit{{Class: "Track", Limit: "100/s"}},
	}
	outcome := func(f catalog.OwnFacts, check string) catalog.Result {
		s := catalog.Own(f)
		for _, r := range catalog.Results(&s) {
			if r.Check == check {
				return r
			}
		}
		t.Fatalf("there is no check %s", check)
		return catalog.Result{}
	}
	asked := facts
	asked.Served = map[string]bool{"/llms.txt": true}
	loose := asked
	loose.Tools = append([]catalog.OwnTool{{Name: "loose", Output: false}}, asked.Tools...)
	for name, tt := range map[string]struct {
		facts    catalog.OwnFacts
		check    string
		want     catalog.Outcome
		evidence catalog.Evidence
	}{
		"declared":      {facts, "contract.tool_inputs", catalog.Pass, catalog.Read},
		"asked":         {asked, "contract.tool_inputs", catalog.Pass, catalog.Probed},
		"loose inputs":  {loose, "contract.tool_inputs", catalog.Fail, catalog.Probed},
		"loose outputs": {loose, "contract.tool_outputs", catalog.Fail, catalog.Probed},
		"no dry run":    {loose, "safety.dry_run", catalog.Fail, catalog.Probed},
		"dry run":       {asked, "safety.dry_run", catalog.Pass, catalog.Probed},
		"two shapes":    {asked, "runtime.errors", catalog.Fail, catalog.Probed},
		"served":        {asked, "discovery.llms", catalog.Pass, catalog.Probed},
		"not served":    {asked, "contract.openapi", catalog.Fail, catalog.Probed},
		"not asked":     {facts, "contract.openapi", catalog.Unverified, ""},
		"no audit log":  {asked, "safety.audit", catalog.Fail, catalog.Probed},
		"documented":    {asked, "runtime.idempotency", catalog.Pass, catalog.Read},
	} {
		if r := outcome(tt.facts, tt.check); r.Outcome != tt.want || r.Evidence != tt.evidence {
			t.Errorf("%s: %s at %q, want %s at %q", name, r.Outcome, r.Evidence, tt.want, tt.evidence)
		}
	}
	c := embedded(t).With(catalog.Own(asked))
	d := c.Detail(catalog.OwnID)
	if d == nil || !d.Service.Own || len(d.Service.Endpoints) != 2 || d.Of != len(c.Rank("marketing-automation")) {
		t.Fatalf("own entry = %+v", d)
	}
	for _, n := range append(d.Service.Guide.Setup, d.Service.Guide.Pitfalls...) {
		for _, key := range n.Facts {
			if d.Number(key) == 0 {
				t.Errorf("%q rests on %s, which is no fact", n.Text, key)
			}
		}
	}
}
