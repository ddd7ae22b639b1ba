package person

import "testing"

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
