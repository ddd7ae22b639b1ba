package segment

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"rapport.example/internal/value"
)

// TestCoercion reads the table of docs/segments.md that says which values meet which operators, and asks each cell. Operators that
// are the opposite of another one have to answer so.
func TestCoercion(t *testing.T) {
	t.Parallel()
	rows := table(t, "../../docs/segments.md", "| value | `is:")
	if len(rows) < 20 {
		t.Fatalf("the table has %d lines", len(rows))
	}
	head := rows[0][1:]
	for _, row := range rows[2:] {
		v := value.Value(nil)
		if row[0] != "missing" {
			v = mustValue(t, row[0])
		}
		for i, cell := range row[1:] {
			op, operand, _ := strings.Cut(head[i], ": ")
			if strings.HasPrefix(operand, "2026") {
				operand = `"` + operand + `"`
			}
			ask := func(op, operand string) bool {
				n := mustParse(t, `{"attribute":"a","`+op+`":`+operand+`}`)
				b := newBody(epoch)
				if v != nil {
					b.attributes["a"] = v
				}
				return n.Eval(b, epoch).Match
			}
			if got := ask(op, operand); got != (cell == "yes") {
				t.Errorf("%s of %s = %v, the table says %q", head[i], row[0], got, cell)
			}
			switch op {
			case "is", "contains":
				op = strings.NewReplacer("is", "is_not", "contains", "not_contains").Replace(op)
			case "exists", "is_timestamp":
				operand = "false"
			default:
				continue
			}
			if got := ask(op, operand); got != (cell != "yes") {
				t.Errorf("%s: %s of %s = %v, want the opposite of %s", op, operand, row[0], got, head[i])
			}
		}
	}
}

// table reads the Markdown table whose first line begins so; its cells are without backquotes.
func table(t *testing.T, name, begins string) (rows [][]string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, begins) || len(rows) > 0 && strings.HasPrefix(line, "|"):
			var row []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				row = append(row, strings.Trim(strings.TrimSpace(cell), "`"))
			}
			rows = append(rows, row)
		case len(rows) > 0:
			return rows
		}
	}
	return rows
}
