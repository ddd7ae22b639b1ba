package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPeople(t *testing.T) {
	t.Parallel()
	a := people(320, 7)
	if diff := cmp.Diff(a, people(320, 7), cmp.AllowUnexported(persona{})); diff != "" {
		t.Errorf("the same seed makes other people:\n%s", diff)
	}
	if cmp.Equal(a, people(320, 8), cmp.AllowUnexported(persona{})) {
		t.Error("another seed makes the same people")
	}
	seen := map[string]bool{}
	var activate, buy, leave, bounce int
	for _, p := range a {
		_, domain, _ := strings.Cut(p.email, "@")
		if seen[p.id] || seen[p.email] || p.arrives < 0 || p.arrives >= demoDays {
			t.Errorf("%+v is not somebody new within %d days", p, demoDays)
		}
		seen[p.id], seen[p.email] = true, true
		switch {
		case domain == "example.com", domain == "example.org", domain == "example.net", strings.HasSuffix(domain, ".example"):
		default:
			t.Errorf("%s may be a real address", p.email)
		}
		activate += count(p.activates >= 0)
		buy += count(len(p.buys) > 0)
		leave += count(p.leaves)
		bounce += count(domain == "bounce.example")
	}
	for what, n := range map[string]int{"activate": activate, "buy": buy, "unsubscribe": leave, "bounce": bounce} {
		if n < 5 || n > 250 {
			t.Errorf("%d of 320 people %s", n, what)
		}
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
