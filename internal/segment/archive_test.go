package segment

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// epoch is moment 0 of the archives.
const epoch = int64(1767225600000) // 2026-01-01T00:00:00Z

// TestConditions plays testdata/conditions/*.txtar, a file for each family. Every file of an archive is one case: a condition, its
// canonical form, its sentence and a truth table of lines, all moments counted from 2026-01-01:
//
//	condition {"attribute":"plan","is":"pro"}
//	canonical …                        rewritten by -update, and put there if it is missing
//	sentence …                         likewise
//	person 3d                          another person, created then; the first one is from 0d
//	set plan "pro"                     an attribute
//	device a 10d ios {"app_version":"5"}  a device, last used then, or another state of it
//	undevice a                         it is gone
//	relate 1 acme {"plan":"pro"} {"role":"admin"}  an object of type 1 with attributes, and the relationship's; or another state of both
//	unrelate 1 acme                    it is gone
//	data {"plan":"pro"}                the data of the triggering event
//	join vip / quit vip                a segment's member
//	event purchase 10d {"total":5}     an event with its own time; page and screen likewise
//	message sent_email 10d {…}         what became of a message; campaign onboarding is 5, its step welcome 7, receipt 3
//	at 12d true until 40d              what is asked, and the answer with its shelf life
//	# …                                a comment
//
// go test -update rewrites canonical forms, sentences and answers.
func TestConditions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/conditions/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := &txtar.Archive{Comment: a.Comment}
			for _, f := range a.Files {
				t.Run(f.Name, func(t *testing.T) { f.Data = []byte(play(t, string(f.Data))) })
				got.Files = append(got.Files, f)
			}
			golden(t, name, txtar.Format(a), txtar.Format(got))
		})
	}
}

// TestErrors holds testdata/errors.txtar: in each file a condition, and on the last line what Parse says of it.
func TestErrors(t *testing.T) {
	t.Parallel()
	const name = "testdata/errors.txtar"
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		doc, _, _ := strings.Cut(string(f.Data), "\n# ")
		_, err := Parse(mustValue(t, doc), "conditions")
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: Parse(%s) = %v, want a fault of kind invalid", f.Name, doc, err)
			continue
		}
		f.Data = []byte(strings.TrimSpace(doc) + "\n# " + err.Error() + "\n")
		got.Files = append(got.Files, f)
	}
	golden(t, name, txtar.Format(a), txtar.Format(got))
}

func golden(t *testing.T, name string, want, got []byte) {
	t.Helper()
	diff := cmp.Diff(string(want), string(got))
	if diff == "" {
		return
	}
	if !*update {
		t.Errorf("%s (-want +got):\n%s", name, diff)
		return
	}
	if err := os.WriteFile(name, got, 0o600); err != nil {
		t.Fatal(err)
	}
}

// play runs a case and returns it with the answers that came.
func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var n *Node
	var specs []FactSpec
	b := newBody(epoch)
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		arg, rest, _ := strings.Cut(rest, " ")
		switch word {
		case "", "#":
		case "canonical", "sentence":
			continue
		case "condition":
			_, doc, _ := strings.Cut(strings.TrimSpace(line), " ")
			n = mustResolve(t, mustParse(t, doc))
			checkAgain(t, n)
			specs = specsOf(n)
			line = fmt.Sprintf("condition %s\ncanonical %s\nsentence %s\n", doc, n.Canonical(), n.Sentence())
		case "person":
			b = newBody(stamp(t, arg))
		case "set":
			b.attributes[arg] = mustValue(t, rest)
		case "device":
			at, rest, _ := strings.Cut(rest, " ")
			platform, attributes, _ := strings.Cut(rest, " ")
			d := person.Device{Token: arg, LastUsed: stamp(t, at) / 1000, Platform: platform}
			if attributes != "" {
				d.Attributes = mustValue(t, attributes)
			}
			b.devices = append(slices.DeleteFunc(b.devices, func(d person.Device) bool { return d.Token == arg }), d)
		case "undevice":
			b.devices = slices.DeleteFunc(b.devices, func(d person.Device) bool { return d.Token == arg })
		case "relate", "unrelate":
			id, rest, _ := strings.Cut(rest, " ")
			typ, err := strconv.ParseInt(arg, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			b.links = slices.DeleteFunc(b.links, func(l object.Link) bool { return l.Object.Type == typ && l.Object.ID == id })
			if word == "relate" {
				own, theirs, _ := strings.Cut(rest, " ")
				b.links = append(b.links, link(t, typ, id, own, theirs))
			}
		case "data":
			b.properties = mustValue(t, arg)
		case "join", "quit":
			b.members[arg] = word == "join"
		case "event", "page", "screen", "message":
			typ, _ := event.TypeOf(word)
			at, data, _ := strings.Cut(rest, " ")
			a := event.Activity{Type: typ, Name: arg, At: stamp(t, at)}
			if data != "" {
				a.Data = mustValue(t, data)
			}
			b.observe(specs, a)
		case "at":
			r := n.Eval(b, stamp(t, arg))
			line = fmt.Sprintf("at %s %v", arg, r.Match)
			if r.Next != 0 {
				line += " until " + sayStamp(r.Next)
			}
			line += "\n"
		default:
			t.Fatalf("unknown line %q", line)
		}
		out.WriteString(line)
	}
	return out.String()
}

// link is an object with its relationship, the attributes of both as JSON or "".
func link(t testing.TB, typ int64, id, own, theirs string) object.Link {
	t.Helper()
	l := object.Link{Object: &object.Object{Type: typ, ID: id}, Relationship: &object.Relationship{}}
	if own != "" {
		l.Object.Attributes.Set(mustValue(t, own), 1)
	}
	if theirs != "" {
		l.Relationship.Attributes.Set(mustValue(t, theirs), 1)
	}
	return l
}

// stamp reads 12d, 12d-1ms and 12d+1ms.
func stamp(t *testing.T, s string) int64 {
	t.Helper()
	ms, sign := int64(0), int64(0)
	if i := strings.LastIndexAny(s, "+-"); i > 0 {
		n, err := strconv.ParseInt(strings.TrimSuffix(s[i+1:], "ms"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if ms, sign = n, 1; s[i] == '-' {
			sign = -1
		}
		s = s[:i]
	}
	if s == "0d" {
		return epoch + sign*ms
	}
	off, ok := relative(s)
	if !ok {
		t.Fatalf("%q is no moment of an archive", s)
	}
	return epoch + off + sign*ms
}

func sayStamp(at int64) string {
	ms, tail := at-epoch, ""
	switch rest := ms % second; {
	case rest == second-1:
		ms, tail = ms+1, "-1ms"
	case rest != 0:
		ms, tail = ms-rest, fmt.Sprintf("+%dms", rest)
	}
	sign := ""
	if ms < 0 {
		ms, sign = -ms, "-"
	}
	return sign + durationLiteral(ms) + tail
}

// checkAgain holds Parse(Canonical) to the same condition.
func checkAgain(t *testing.T, n *Node) {
	t.Helper()
	again, err := Parse(n.Canonical(), "")
	if err != nil {
		t.Fatalf("Parse(%s): %v", n.Canonical(), err)
	}
	again = mustResolve(t, again)
	if !value.Equal(n.Canonical(), again.Canonical()) || n.Sentence() != again.Sentence() {
		t.Errorf("%s\nparsed again: %s", n.Canonical(), again.Canonical())
	}
	if diff := cmp.Diff(n.Specs(), again.Specs(), cmp.Comparer(func(a, b *Node) bool { return value.Equal(a.Canonical(), b.Canonical()) })); diff != "" {
		t.Errorf("specs of what was parsed again (-want +got):\n%s", diff)
	}
}
