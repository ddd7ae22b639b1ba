package main

import (
	"strings"
	"testing"

	"rapport.example/internal/api/admin"
	appapi "rapport.example/internal/api/app"
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

// TestPrintPreview holds what people read: the sentence and the count, then each line with its own, then what is odd.
func TestPrintPreview(t *testing.T) {
	t.Parallel()
	n := func(n int64) *int64 { return &n }
	var b strings.Builder
	err := printPreview(&b, &admin.PreviewAnswer{
		Count: 2, People: 10, Sentence: `plan is "pro", and seats is at least 3`, Warnings: []appapi.Warning{{Field: "conditions.all[0].attribute", Message: "x"}}, Samples: []admin.Person{{ID: "7"}, {CIO: "cio_a"}},
		Tree: appapi.Line{Condition: "all of", Count: n(2), Parts: []appapi.Line{
			{Condition: `plan is "pro"`, Count: n(4), Alone: n(1)}, {Condition: "seats is at least 3", Count: n(3), Alone: n(2)},
		}},
	})
	want := `plan is "pro", and seats is at least 3
2 of 10 people

  PEOPLE  KEPT OUT BY THIS LINE ALONE  LINE
       2                               all of
       4                            1    plan is "pro"
       3                            2    seats is at least 3

warning: conditions.all[0].attribute: x

some of them: 7, cio_a
`
	if err != nil || b.String() != want {
		t.Errorf("printed %v\n%s\nwant\n%s", err, b.String(), want)
	}
}

// TestPrintPoints: the largest count has the whole bar.
func TestPrintPoints(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	printPoints(&b, []admin.Point{{At: 0, People: 0}, {At: 86400, People: 10}})
	want := "1970-01-01 00:00         0  \n1970-01-02 00:00        10  " + strings.Repeat("█", barWidth) + "\n"
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}

// TestDonePercent: the build that is behind says how far all are.
func TestDonePercent(t *testing.T) {
	t.Parallel()
	n := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		list []admin.Segment
		want int
	}{
		{[]admin.Segment{{State: "events_queued", Progress: n(0)}}, 0},
		{[]admin.Segment{{State: "events", Progress: n(50)}}, 25},
		{[]admin.Segment{{State: "build_queued", Progress: n(0)}}, 50},
		{[]admin.Segment{{State: "build", Progress: n(99)}, {State: "build", Progress: n(40)}}, 70},
	} {
		if got := donePercent(test.list); got != test.want {
			t.Errorf("donePercent(%+v) = %d, want %d", test.list, got, test.want)
		}
	}
}
