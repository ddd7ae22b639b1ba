package smtp

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"rapport.example/internal/delivery"
)

// FuzzSay reads what a mail server or the network may say: one readable line, bounded, without the password, and a
// verdict that is one of the two for a refusal.
func FuzzSay(f *testing.F) {
	for _, s := range []string{
		"550 5.1.1 <a@example.com>: no such user", "554 5.7.1 policy", "421 closing\r\nnow", "535 5.7.8 sesame-password", "\xff\x00", "550 \"a\\\"b\"", strings.Repeat("é", 400),
	} {
		f.Add(s, true)
	}
	c := &Channel{o: Options{User: "user", Password: "sesame-password"}, secrets: hide("user", "sesame-password")}
	f.Fuzz(func(t *testing.T, s string, atAddress bool) {
		got := c.say(s)
		if !utf8.ValidString(got) || len(got) > most+len("…") || strings.ContainsAny(got, "\r\n") || strings.Contains(got, "sesame-password") {
			t.Fatalf("say(%q) = %q", s, got)
		}
		if v := refused(s, atAddress); v != delivery.Bounced && v != delivery.Failed {
			t.Fatalf("refused(%q) = %v", s, v)
		}
		if v := c.judge(errors.New(s), false); v.State != delivery.Queued {
			t.Fatalf("judge(%q) = %+v", s, v)
		}
	})
}
