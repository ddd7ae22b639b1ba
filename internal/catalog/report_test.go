package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/catalog"
	"rapport.example/internal/fault"
)

// TestMask: what free text must not hold is replaced, the rest stays.
func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"sent to ada@example.com twice":            "sent to [email] twice",
		"PUT /customers/ada%40example.com failed":  "PUT /customers/[email] failed",
		"call +1 (555) 010-0123 now":               "call [phone] now",
		"from 192.0.2.17 and 2001:db8:0:0:0:0:2:1": "from [ip] and [ip]",
		"Authorization: Bearer abcdef123456":       "Authorization: Bearer [key]",
		"key agk_0123456789abcdef":                 "key [key]",
		"sk_live_0123456789":                       "[key]",
		"token 0123456789abcdefghijABCDEFGH==":     "token [key]",
		"HTTP 429 after 10 requests in 1 s":        "HTTP 429 after 10 requests in 1 s",
		"a\x00b\u202ec\nd":                         "abc d",
	} {
		if got := catalog.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestCheckReport refuses what is out of bounds or not in the catalogue, by field.
func TestCheckReport(t *testing.T) {
	t.Parallel()
	c := embedded(t)
	good := catalog.Report{Service: "customer-io", Task: "identify ada@example.com", Recipe: "customer-io-welcome", FailedStep: 2, ErrorType: "timeout"}
	for field, change := range map[string]func(*catalog.Report){
		"":             func(*catalog.Report) {},
		"service_id":   func(r *catalog.Report) { r.Service = "nowhere" },
		"task":         func(r *catalog.Report) { r.Task = " " },
		"workaround":   func(r *catalog.Report) { r.Workaround = strings.Repeat("x", 501) },
		"error_type":   func(r *catalog.Report) { r.ErrorType = strings.Repeat("x", 61) },
		"model_family": func(r *catalog.Report) { r.Model = strings.Repeat("x", 61) },
		"latency_ms":   func(r *catalog.Report) { r.Latency = -1 },
		"success":      func(r *catalog.Report) { r.Success = true },
		"recipe_id":    func(r *catalog.Report) { r.Recipe = "nowhere" },
		"failed_step":  func(r *catalog.Report) { r.FailedStep = 99 },
	} {
		r := good
		change(&r)
		err := c.Check(&r)
		var f *fault.Error
		if field == "" && (err != nil || r.Task != "identify [email]") {
			t.Errorf("good report: %v, %+v", err, r)
		}
		if field != "" && (!errors.As(err, &f) || f.Field != field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestSumUp: provenances are never added up, and there is no rate below five.
func TestSumUp(t *testing.T) {
	t.Parallel()
	var list []catalog.Report
	for i := range 5 {
		list = append(list, catalog.Report{Provenance: "agent", Reporter: string(rune('a' + i%2)), Success: i > 0, Latency: int64(i * 10), ErrorType: map[bool]string{true: "timeout"}[i == 0]})
	}
	list = append(list, catalog.Report{Provenance: "probe", Reporter: "p", Success: true, Workaround: "wait"})
	rate := 0.8
	want := []catalog.Reported{
		{Provenance: "agent", Reports: 5, Reporters: 2, Success: &rate, Latency: 30, Errors: map[string]int{"timeout": 1}},
		{Provenance: "probe", Reports: 1, Reporters: 1, Errors: map[string]int{}, Workarounds: []string{"wait"}},
	}
	if diff := cmp.Diff(want, catalog.SumUp(list)); diff != "" {
		t.Errorf("SumUp (-want +got):\n%s", diff)
	}
}
