package main

import (
	"strings"
	"testing"

	"rapport.example/internal/api/admin"
)

// TestPrintMembership holds what people read: the answer first, then the lines, then when it could change.
func TestPrintMembership(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	printMembership(&b, &admin.MembershipAnswer{
		Segment: admin.SegmentRef{Slug: "paying"}, State: "ready", Member: true, Since: 60, Next: 120,
		Why: &admin.Reason{Condition: "all of", True: true, Parts: []admin.Reason{{Condition: `plan is "pro"`, Value: `"pro"`, True: true}}},
	})
	want := "in paying since 1970-01-01 00:01:00 UTC\n  yes  all of\n  yes    plan is \"pro\": \"pro\"\ncould change with no new data at 1970-01-01 00:02:00 UTC\n"
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}
