package catalog_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/catalog"
)

var update = flag.Bool("update", false, "rewrite golden files")

func embedded(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEmbedded: every file fits its schema and itself, and the guide holds what it promises.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	c := embedded(t)
	if n, m := len(c.Services()), len(c.Recipes()); n < 25 || m < 20 {
		t.Errorf("%d services and %d recipes, want 25 and 20", n, m)
	}
	for _, s := range c.Services() {
		if len(s.Guide.Setup) == 0 || len(s.Guide.Pitfalls) == 0 {
			t.Errorf("%s: no set-up or no pitfalls", s.ID)
		}
		for _, f := range s.Facts {
			if f.Source == "" || f.CheckedAt == "" {
				t.Errorf("%s: fact %s has no source or date", s.ID, f.Key)
			}
		}
	}
}

// TestSearch: a name alone comes first, tasks are found in other words, and each filter keeps exactly its class.
func TestSearch(t *testing.T) {
	t.Parallel()
	c := embedded(t)
	for intent, want := range map[string]string{
		"Customer.io": "customer-io", "customerio": "customer-io", "SES": "amazon-ses", "klaviyo": "klaviyo", "verify a phone number": "twilio", "feature flags": "posthog",
		"self-hosted newsletter manager": "listmonk", "route inbound mail": "mailgun",
	} {
		hits, err := c.Search(catalog.Query{Intent: intent})
		if err != nil || len(hits) == 0 || hits[0].ID != want {
			t.Errorf("Search(%q) = %v, %v, want %s first", intent, ids(hits), err, want)
		}
	}
	all, err := c.Search(catalog.Query{Limit: 100})
	if err != nil || len(all) != len(c.Services()) {
		t.Errorf("without an intent: %d of %d, %v", len(all), len(c.Services()), err)
	}
	n := 0
	for _, a := range []catalog.Access{catalog.Verified, catalog.Connectable, catalog.InfoOnly} {
		hits, err := c.Search(catalog.Query{Access: a, Limit: 100})
		if err != nil {
			t.Error(err)
		}
		n += len(hits)
	}
	if n != len(all) {
		t.Errorf("the classes hold %d together, want %d", n, len(all))
	}
	for _, bad := range []catalog.Query{{Limit: -1}, {Limit: 101}, {Category: "tea"}, {Access: "soon"}, {Intent: strings.Repeat("x", 501)}} {
		if _, err := c.Search(bad); err == nil {
			t.Errorf("Search(%.40v) was taken", bad)
		}
	}
	for i, r := range c.Rank("email-delivery") {
		if next := c.Rank("email-delivery"); r.Place != i+1 || i > 0 && next[i-1].Readiness.Score.Score < r.Readiness.Score.Score {
			t.Errorf("place %d: %s", i+1, r.ID)
		}
	}
}

func ids(hits []catalog.Hit) []string {
	var out []string
	for _, h := range hits {
		out = append(out, h.ID)
	}
	return out
}

// TestScores keeps every score in a file: one that changes shows up in review, with the fact that changed it.
func TestScores(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	c := embedded(t)
	for _, s := range c.Services() {
		d := c.Detail(s.ID)
		fmt.Fprintf(&b, "%s: readiness %s; compatibility %s (%s)\n", s.ID, d.Readiness, d.Compatibility.Score, d.Compatibility.Inputs)
	}
	const golden = "testdata/scores.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("scores (-golden +got):\n%s", diff)
	}
}

// TestSeed holds the entry of Customer.io to every fact of the page that it started from.
func TestSeed(t *testing.T) {
	t.Parallel()
	s := embedded(t).Service("customer-io")
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`\"`, `"`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw))
	for _, want := range []string{
		"https://track.customer.io/api/v1/", "site_id:api_key", "Bearer", "application/json", "cursor", "100 requests a second", "10 requests a second",
		`{"meta":{"error":"...","status":401}}`, "PUT /customers/{id}", "POST /customers/{id}/events", "DELETE /customers/{id}",
		`{"email":"user@example.com","first_name":"John"}`, "API Credentials", "user123", "0.70", "functional agent integration", "npx @kansei-link/mcp-server",
		"search_services", "get_service_detail", "2026-04-07", "app.customer.io", "registry checks", "AAA (best) to D", "Marketing", "base64(site_id:api_key)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the entry lacks %q", want)
		}
	}
	if len(s.Guide.Pitfalls) < 5 || len(s.FAQ) != 6 {
		t.Errorf("%d pitfalls and %d questions, want 5 or more and 6", len(s.Guide.Pitfalls), len(s.FAQ))
	}
	var keys []string
	for _, f := range s.Corrections() {
		keys = append(keys, f.Key)
	}
	if diff := cmp.Diff([]string{"app.token.where", "api.versions", "app.paging.cursor", "track.limit", "errors.form", "mcp.none"}, keys); diff != "" {
		t.Errorf("corrected facts (-want +got):\n%s", diff)
	}
}

// TestCompatibility reproduces the directory's published score, and what the vendor's own MCP server makes of it.
func TestCompatibility(t *testing.T) {
	t.Parallel()
	s := embedded(t).Service("customer-io")
	then, ok := catalog.AsPublished(s)
	if got := catalog.Compatibility(then); !ok || got.Score != 0.70 || got.Grade != "A" || got.Score != s.Directory.Score || string(got.Grade) != s.Directory.Grade {
		t.Errorf("as published = %v, want 0.70, A", got)
	}
	if got := catalog.Compatibility(catalog.CompatibilityInputs(s)); got.Score != 0.90 || got.Grade != "AAA" {
		t.Errorf("with the MCP server = %v, want 0.90, AAA", got)
	}
	for _, tt := range []struct {
		in    catalog.Inputs
		score float64
		grade catalog.Grade
		held  bool
	}{
		{catalog.Inputs{MCP: "none"}, 0.10, "D", false},
		{catalog.Inputs{MCP: "none", API: true}, 0.40, "B", false},
		{catalog.Inputs{MCP: "community", API: true, Auth: true}, 0.60, "BBB", false},
		{catalog.Inputs{MCP: "official", API: true, Auth: true}, 0.70, "A", false},
		{catalog.Inputs{MCP: "official", API: true, Auth: true, Reports: true, Success: true, Trust: true}, 1, "AAA", false},
		{catalog.Inputs{MCP: "official", API: true, Auth: true, Success: true, Trust: true}, 0.80, "AA", false}, // success without reports is none
		{catalog.Inputs{MCP: "official", API: true, Auth: true, Reports: true, Trust: true}, 0.90, "AAA", false},
	} {
		if got := catalog.Compatibility(tt.in); got.Score != tt.score || got.Grade != tt.grade || (got.WouldBe != "") != tt.held {
			t.Errorf("Compatibility(%+v) = %v, want %.2f, %s", tt.in, got, tt.score, tt.grade)
		}
	}
}

// full is an entry that passes every check at one level of evidence.
func full(e catalog.Evidence, without ...string) *catalog.Service {
	s := &catalog.Service{ID: "x", Name: "X", Category: "c"}
	for _, c := range catalog.Checks() {
		if c.Instead == "" && !slices.Contains(without, c.ID) {
			s.Facts = append(s.Facts, catalog.Fact{Key: "f." + c.ID, Evidence: e, CheckedAt: "2026-01-02", Passes: []string{c.ID}})
		}
	}
	return s
}

// TestReadiness: the points of all checks are 100, evidence is a factor, and gates hold the best grade back.
func TestReadiness(t *testing.T) {
	t.Parallel()
	sum := map[string]float64{}
	for _, c := range catalog.Checks() {
		if c.Instead == "" {
			sum[c.Domain] += c.Points
		}
	}
	if diff := cmp.Diff(map[string]float64{"Access": 22, "Contract": 20, "Auth": 14, "Runtime": 18, "Safety": 16, "Discovery": 10}, sum); diff != "" {
		t.Errorf("points of the domains (-want +got):\n%s", diff)
	}
	runs := func(n, good int) []catalog.Runs {
		return []catalog.Runs{{Provenance: "test", Count: n, Succeeded: good}, {Provenance: "probe", Count: 100, Succeeded: 100}}
	}
	for name, tt := range map[string]struct {
		s    *catalog.Service
		runs []catalog.Runs
		want string
	}{
		"claims":        {full(catalog.Claimed), nil, "0.00, D"},
		"read":          {full(catalog.Read), nil, "0.60, BBB"},
		"probed":        {full(catalog.Probed), nil, "0.85, AA"},
		"executed":      {full(catalog.Executed), runs(5, 4), "1.00, AAA"},
		"independent":   {full(catalog.Independent), runs(50, 50), "1.00, AAA"},
		"no runs":       {full(catalog.Executed), nil, "1.00, AA (would be AAA, held by fewer than 5 executed runs)"},
		"few runs":      {full(catalog.Executed), runs(4, 4), "1.00, AA (would be AAA, held by fewer than 5 executed runs)"},
		"failing runs":  {full(catalog.Executed), runs(10, 7), "1.00, AA (would be AAA, held by 70 % success of executed runs)"},
		"no key":        {full(catalog.Executed, "runtime.idempotency"), runs(5, 5), "0.96, AA (would be AAA, held by idempotent writes not shown)"},
		"loose errors":  {full(catalog.Executed, "runtime.errors"), runs(5, 5), "0.96, AA (would be AAA, held by a stable shape of errors not shown)"},
		"lower ungated": {full(catalog.Executed, "runtime.errors", "access.official_mcp", "contract.openapi"), nil, "0.81, AA"},
		"nothing":       {&catalog.Service{}, nil, "0.00, D"},
	} {
		tt.s.Runs = tt.runs
		if got := catalog.Ready(tt.s).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestEveryCheck: each check alone earns its points times the factor, in its domain; a fact against it takes them away
// unless its evidence is weaker; an exempt check leaves the denominator.
func TestEveryCheck(t *testing.T) {
	t.Parallel()
	for _, c := range catalog.Checks() {
		possible := 100.0
		for _, e := range []catalog.Evidence{catalog.Claimed, catalog.Read, catalog.Probed, catalog.Executed, catalog.Independent} {
			s := &catalog.Service{Facts: []catalog.Fact{{Key: "f", Evidence: e, Passes: []string{c.ID}}}}
			if got := catalog.Ready(s); math.Abs(got.Points-c.Points*e.Factor()) > 1e-6 || got.Possible != possible {
				t.Errorf("%s at %s: %v of %v points, want %v of %v", c.ID, e, got.Points, got.Possible, c.Points*e.Factor(), possible)
			}
		}
		s := &catalog.Service{Facts: []catalog.Fact{{Key: "f", Evidence: catalog.Read, Passes: []string{c.ID}}, {Key: "g", Evidence: catalog.Read, Fails: []string{c.ID}}}}
		if got := catalog.Ready(s); got.Points != 0 {
			t.Errorf("%s: passed against a fact of the same weight", c.ID)
		}
		s.Facts[0].Evidence = catalog.Probed
		if got := catalog.Ready(s); math.Abs(got.Points-c.Points*catalog.Probed.Factor()) > 1e-6 {
			t.Errorf("%s: a weaker fact took the points away", c.ID)
		}
		s.Facts[0].Status = catalog.Corrected
		if got := catalog.Ready(s); got.Points != 0 {
			t.Errorf("%s: a corrected fact earned points", c.ID)
		}
		exempt := &catalog.Service{CannotHave: []catalog.Exempt{{Check: c.ID, Reason: "r"}}}
		if c.Instead == "" {
			possible -= c.Points
		}
		if got := catalog.Ready(exempt); got.Possible != possible {
			t.Errorf("%s exempt: %v points possible, want %v", c.ID, got.Possible, possible)
		}
	}
	both := &catalog.Service{Facts: []catalog.Fact{{Key: "f", Evidence: catalog.Executed, Passes: []string{"access.official_mcp", "access.community_mcp"}}}}
	if got := catalog.Ready(both); got.Points != 8 {
		t.Errorf("official and community MCP: %v points, want 8", got.Points)
	}
}

// TestLoadFaults: what is wrong with a file is told by file, line and field.
func TestLoadFaults(t *testing.T) {
	t.Parallel()
	const good = `id: a
name: A
category: c
summary: A service that exists only so that a test can read its entry.
tasks: [do something]
homepage: https://a.example
guide:
  setup:
    - {text: Sign up., facts: [one]}
facts:
  - {key: one, value: v, source_url: "https://a.example", checked_at: 2026-01-02, evidence: E1, passes: [access.public_api]}
updated_at: 2026-01-02
`
	const recipe = `id: r
goal: do it
risk: low
evidence: E1
last_verified: 2026-01-02
source_url: https://a.example
version: 1
steps:
  - {service_id: a, operation: GET /x, outputs: [id]}
  - {service_id: rapport, operation: upsert_person, inputs: {id: $1.id}}
`
	for name, tt := range map[string]struct {
		file, old, new, want string
	}{
		"good":             {"", "", "", ""},
		"unknown field":    {"a", "updated_at:", "colour: red\nupdated_at:", "services/a.yaml:12: colour: is not known here"},
		"missing field":    {"a", "name: A\n", "", "services/a.yaml:1: name: is missing"},
		"missing in fact":  {"a", "value: v, ", "", "services/a.yaml:11: facts.0.value: is missing"},
		"date":             {"a", "2026-01-02, evidence", "yesterday, evidence", `services/a.yaml:11: facts.0.checked_at: "yesterday" does not look like`},
		"evidence":         {"a", "E1", "E9", "services/a.yaml:11: facts.0.evidence: E9 is none of"},
		"file name":        {"a", "id: a", "id: b", `services/a.yaml:1: id: is "b", and the file is named "a"`},
		"no such check":    {"a", "access.public_api", "access.tea", `services/a.yaml:11: facts.0.passes.0: there is no check "access.tea"`},
		"no such fact":     {"a", "facts: [one]", "facts: [two]", `services/a.yaml:9: guide.setup.0.facts.0: there is no fact "two"`},
		"twice":            {"a", "facts:\n", "facts:\n  - {key: one, value: w, source_url: \"https://a.example\", checked_at: 2026-01-02, evidence: E1}\n", `services/a.yaml:12: facts.1.key: "one" is there twice`},
		"correction":       {"a", "passes: [access.public_api]", "status: corrected", "services/a.yaml:11: facts.0.replaced_by: must name the fact"},
		"corrected points": {"a", "passes:", "status: disputed, passes:", "services/a.yaml:11: facts.0.status: a fact that is disputed decides no check"},
		"mcp not shown":    {"a", "guide:", "mcp: [{kind: official, fact: one}]\nguide:", "services/a.yaml:7: mcp: an official server is listed"},
		"yaml":             {"a", "name: A", "name: [A", "services/a.yaml:"},
		"recipe service":   {"r", "service_id: a", "service_id: b", `recipes/r.yaml:9: steps.0.service_id: there is no service "b"`},
		"recipe input":     {"r", "$1.id", "$2.id", "recipes/r.yaml:10: steps.1.inputs.id: $2.id names no output"},
	} {
		entry, rec := good, recipe
		switch tt.file {
		case "a":
			entry = strings.Replace(good, tt.old, tt.new, 1)
		case "r":
			rec = strings.Replace(recipe, tt.old, tt.new, 1)
		}
		_, err := catalog.Load(fstest.MapFS{"services/a.yaml": {Data: []byte(entry)}, "recipes/r.yaml": {Data: []byte(rec)}})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}
