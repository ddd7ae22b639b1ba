package segment

import (
	"fmt"
	"strings"
	"testing"

	"rapport.example/internal/event"
)

var benchConditions = map[string]string{
	"is":       `{"attribute":"plan","is":["free","pro","team"]}`,
	"number":   `{"attribute":"logins","greater":10}`,
	"contains": `{"attribute":"email","contains":"@ACME.example"}`,
	"moment":   `{"attribute":"trial_ends_at","after":"in 3d"}`,
	"date":     `{"attribute":"signed_up","before":"30d ago"}`,
	"event":    `{"event":"purchase","at_least":2,"within":"30d"}`,
	"path":     `{"attribute":"address.city","is":"Bonn"}`,
	"element":  `{"attribute":"orders[-1].total","at_least":100}`,
	"any":      `{"attribute":"orders[].total","at_least":100,"less":300}`,
	"none":     `{"attribute":"orders[].state","is_not":"open"}`,
	"has":      `{"attribute":"orders","has":{"all":[{"property":"state","is":"paid"},{"property":"total","greater":100}]}}`,
	"list":     `{"attribute":"tags","is":["vip","team"]}`,
	"property": `{"all":[{"property":"kind","is":"book"},{"property":"items[].sku","is":"a1"}]}`,
	"first":    `{"event":"purchase","first":{"before":"90d ago"}}`,
	"last":     `{"event":"purchase","last":{"after":"30d ago","before":"1d ago"}}`,
	"paying":   `{"all":[{"attribute":"plan","is":["pro","team"]},{"event":"purchase","at_least":1,"within":"30d"}]}`,
	"leaves20": `{"any":[` + strings.Repeat(`{"all":[{"attribute":"plan","is":"team"},{"event":"purchase","at_least":9,"within":"1d"}]},`, 9) + `{"none":[{"segment":"vip"},{"attribute":"logins","less":1}]}]}`,
}

func benchBody(tb testing.TB, n *Node) *body {
	tb.Helper()
	b := newBody(epoch)
	for name, v := range map[string]string{
		"plan": `"team"`, "logins": `"42"`, "email": `"ann.lee@acme.example"`, "trial_ends_at": "1769904000", "signed_up": `"2026-01-02T03:04:05Z"`,
		"address": `{"street":"Am Markt 1","city":"Bonn"}`, "tags": `["new","beta","team"]`,
		"orders": `[{"state":"paid","total":99.5},{"state":"paid","total":120},{"state":"sent","total":450}]`,
	} {
		b.attributes[name] = mustValue(tb, v)
	}
	b.properties = mustValue(tb, `{"kind":"book","items":[{"sku":"b2"},{"sku":"a1"}]}`)
	for i := range int64(20) {
		b.observe(specsOf(n), event.Activity{Type: event.Track, Name: "purchase", At: epoch + i*day})
	}
	return b
}

// TestEvalAllocates is not parallel: it counts the process's allocations.
func TestEvalAllocates(t *testing.T) { //nolint:paralleltest // see above
	for name, text := range benchConditions {
		n := mustParse(t, text)
		b := benchBody(t, n)
		if got := testing.AllocsPerRun(100, func() { n.Eval(b, epoch+25*day) }); got != 0 {
			t.Errorf("%s: Eval allocates %v times, want 0", name, got)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	for name, text := range benchConditions {
		b.Run("condition="+name, func(b *testing.B) {
			n := mustParse(b, text)
			s := benchBody(b, n)
			b.ReportAllocs()
			for b.Loop() {
				n.Eval(s, epoch+25*day)
			}
		})
	}
}

func BenchmarkMatches(b *testing.B) {
	f := mustParse(b, `{"event":"purchase","where":{"any":[{"property":"kind","is":"book"},{"property":"total","at_least":100}]}}`).Specs()[0]
	data := mustValue(b, `{"total":120,"kind":"pen"}`)
	b.ReportAllocs()
	for b.Loop() {
		f.Matches(data)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, keep := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("keep=%d", keep), func(b *testing.B) {
			f := benchBody(b, nil).Fact(0)
			at := epoch
			b.ReportAllocs()
			for b.Loop() {
				at += second
				Observe(&f, at, keep)
			}
		})
	}
}
