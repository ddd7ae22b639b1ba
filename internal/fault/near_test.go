package fault

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"conditions", "description", "state", "is", "is_not", "at_least", "_private"}
	for s, want := range map[string]string{
		"conditons": "conditions", "stat": "state", "staet": "state", "State": "state", "at_lest": "at_least", "isnot": "is_not",
		"colour": "", "is": "is", "if": "", "": "", "privat": "", "_privat": "", "segmentation": "",
	} {
		if got := Nearest(s, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", s, got, want)
		}
	}
}
