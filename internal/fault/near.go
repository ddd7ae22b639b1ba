package fault

// Nearest returns the word of known that is closest to s, for "did you mean"; "" if none is close enough to be a slip:
// at most two letters added, lost, changed or swapped, and fewer than half of them. Words that start with "_" are private
// and never offered.
func Nearest(s string, known []string) string {
	best, least := "", min(2, (len(s)-1)/2)+1
	for _, k := range known {
		if len(k) > 0 && k[0] == '_' {
			continue
		}
		if d := distance(s, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the edits between a and b, a swap of neighbours as one (optimal string alignment).
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
