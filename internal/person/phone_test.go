package person

import (
	"regexp"
	"testing"
)

func TestParsePhone(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"+15550100123":        "+15550100123",
		" +1 (555) 010-0123 ": "+15550100123",
		"+49.30.901820":       "+4930901820",
		"+2901234":            "+2901234",
		"+123456789012345":    "+123456789012345",
		"+1234567890123456":   "",
		"+123456":             "",
		"+05550100123":        "",
		"15550100123":         "",
		"0015550100123":       "",
		"++15550100123":       "",
		"+1555010012x":        "",
		"+１５５５０１００１２３":        "",
		"+":                   "",
		"":                    "",
	} {
		got, ok := ParsePhone(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("ParsePhone(%q) = %q, %t, want %q", in, got, ok, want)
		}
	}
}

// FuzzParsePhone holds what is read to E.164, and to being read again as itself.
func FuzzParsePhone(f *testing.F) {
	for _, s := range []string{"+15550100123", " +1 (555) 010-0123 ", "+49.30.901820", "+05550100123", "+", "+\x00", "+１５５５０１００１２３"} {
		f.Add(s)
	}
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	f.Fuzz(func(t *testing.T, s string) {
		phone, ok := ParsePhone(s)
		if !ok {
			return
		}
		again, ok := ParsePhone(phone)
		if !e164.MatchString(phone) || !ok || again != phone {
			t.Fatalf("%q is read as %q, and that as %q, %t", s, phone, again, ok)
		}
	})
}
