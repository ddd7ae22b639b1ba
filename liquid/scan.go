package liquid

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// scanner rewrites a template for the engine, which by itself takes an unclosed tag for text, stops at a line break
// inside of one, applies filters to what is missing and lets loops run without end:
//
//   - {{ a.b | upcase }} becomes {{ a.b | _need: "a.b" | upcase }}, unless there is a default
//   - a loop begins with {% _turn %}, which counts, and goes over EXPR | _each, which gives mappings an order
//   - capture becomes _capture, which is bounded; raw becomes a tag that holds its text
//   - a comment loses its text
type scanner struct {
	text    string
	at      int // how far text has been read
	line    int
	depth   int
	out     strings.Builder
	known   table           // the filters there are
	filters map[string]bool // those in use
}

var (
	tagForm    = regexp.MustCompile(`^(\w+)(?:\s+|$)`)
	blocks     = []string{"if", "unless", "case", "for", "tablerow", "capture"}
	operators  = regexp.MustCompile(`[=<>]|\b(?:and|or|contains)\b`)
	filterForm = regexp.MustCompile(`^\s*(\w+)`)
	modifier   = regexp.MustCompile(`\s(?:reversed\b|(?:limit|offset|cols):)`)
	quoted     = regexp.MustCompile(`"[^"]*"|'[^']*'`)
)

func (s *scanner) fail(format string, args ...any) error {
	return &Error{Line: s.line, Msg: fmt.Sprintf(format, args...)}
}

func (s *scanner) run() error {
	for {
		i := s.next()
		if i < 0 {
			s.emit(s.text[s.at:])
			return nil
		}
		s.emit(s.text[s.at:i])
		opener, closer := s.text[i:i+2], "}}"
		if opener == "{%" {
			closer = "%}"
		}
		n := strings.Index(s.text[i+2:], closer)
		if n < 0 {
			return s.fail("%s is never closed", opener)
		}
		if n > maxTag {
			return s.fail("%s is longer than %d bytes, or never closed", opener, maxTag)
		}
		source := s.text[i : i+2+n+2]
		s.at = i + len(source)
		inner, left, right := source[2:2+n], "", ""
		if strings.HasPrefix(inner, "-") {
			inner, left = inner[1:], "-"
		}
		if strings.HasSuffix(inner, "-") {
			inner, right = inner[:len(inner)-1], "-"
		}
		inner = strings.TrimSpace(inner)
		// The engine sees as many lines as the author wrote, so that its errors say the right one.
		lines := strings.Count(source, "\n")
		if err := s.tag(opener+left+" ", flat(inner), " "+strings.Repeat("\n", lines)+right+closer); err != nil {
			return err
		}
		s.line += lines
	}
}

// next is the index of the next opener, -1 if there is none.
func (s *scanner) next() int {
	for i := s.at; ; i++ {
		n := strings.IndexByte(s.text[i:], '{')
		if n < 0 || i+n+1 >= len(s.text) {
			return -1
		}
		i += n
		if c := s.text[i+1]; c == '{' || c == '%' {
			return i
		}
	}
}

func (s *scanner) emit(text string) {
	s.out.WriteString(text)
	s.line += strings.Count(text, "\n")
}

// flat puts an expression on one line, but for its strings, in which a line break cannot be kept.
func flat(s string) string {
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s)
}

// tag rewrites what stands between opener and closer.
func (s *scanner) tag(opener, inner, closer string) error {
	if inner == "" {
		return s.fail("%s%s is empty", opener[:2], closer[len(closer)-2:])
	}
	if strings.ContainsAny(inner, "\x00") || deep(inner) {
		return s.fail("cannot be read: %s", clip(inner))
	}
	if opener[1] == '{' {
		return s.output(opener, inner, closer)
	}
	m := tagForm.FindStringSubmatch(inner)
	if m == nil || strings.HasPrefix(inner, "_") {
		return s.fail("%s is no tag", clip(inner))
	}
	return s.statement(opener, m[1], strings.TrimSpace(inner[len(m[0]):]), closer)
}

func (s *scanner) output(opener, inner, closer string) error {
	if ranges(inner) {
		return s.fail("a range can only stand in a for: %s", clip(inner))
	}
	parts := pipeline(inner)
	guarded := false
	for _, p := range parts[1:] {
		name, err := s.filter(p)
		if err != nil {
			return err
		}
		guarded = guarded || name == "default"
	}
	head := strings.TrimSpace(parts[0])
	if operators.MatchString(quoted.ReplaceAllString(head, "")) { // a condition always has a value
		s.out.WriteString(opener + inner + closer)
		return nil
	}
	s.filters[needFilter] = true
	if !guarded {
		head += need(head)
	}
	s.out.WriteString(opener + head)
	if len(parts) > 1 {
		s.out.WriteString(" |" + strings.Join(parts[1:], "|") + need(inner))
	} else if guarded {
		s.out.WriteString(need(inner))
	}
	s.out.WriteString(closer)
	return nil
}

// need is the filter that fails where there is no value. The engine's strings have no escapes.
func need(name string) string {
	return ` | ` + needFilter + `: "` + strings.ReplaceAll(name, `"`, "'") + `"`
}

// filter checks one filter of a pipeline and returns its name.
func (s *scanner) filter(part string) (string, error) {
	m := filterForm.FindStringSubmatch(part)
	if m == nil {
		return "", s.fail("there is no filter behind |")
	}
	if m[1][0] == '_' || s.known[m[1]] == nil {
		return "", s.fail("there is no filter %s", m[1])
	}
	s.filters[m[1]] = true
	return m[1], nil
}

func (s *scanner) statement(opener, name, args, closer string) error {
	switch name {
	case "raw", "comment":
		return s.verbatim(opener, name, closer)
	case "include", "render", "layout":
		return s.fail("%s is not supported: a template stands by itself", name)
	}
	loop := name == "for" || name == "tablerow"
	parts := pipeline(args)
	if ranges(args) && (!loop || len(parts) > 1) {
		return s.fail("a range can only stand in a for, without filters: %s", clip(args))
	}
	if name != unsubscribeTag && name != unsubscribeURLTag && name != linkTag {
		for _, p := range parts[1:] {
			if _, err := s.filter(p); err != nil {
				return err
			}
		}
	}
	if slices.Contains(blocks, name) {
		if s.depth++; s.depth > MaxNesting {
			return s.fail("blocks stand in each other more than %d deep", MaxNesting)
		}
	}
	if block, ends := strings.CutPrefix(name, "end"); ends && slices.Contains(blocks, block) {
		s.depth--
	}
	switch name {
	case "capture":
		name = captureBlock
	case "endcapture":
		name = "end" + captureBlock
	}
	if loop {
		s.filters[eachFilter] = true
		args = each(args)
	}
	if args != "" {
		args = " " + args
	}
	s.out.WriteString(opener + name + args + closer)
	if loop {
		s.out.WriteString("{% " + turnTag + " %}")
	}
	return nil
}

// each adds the filter behind the expression of a loop, before reversed, limit, offset and cols.
func each(args string) string {
	masked := quoted.ReplaceAllStringFunc(args, func(q string) string { return strings.Repeat("x", len(q)) })
	end := len(args)
	if m := modifier.FindStringIndex(masked); m != nil {
		end = m[0]
	}
	return args[:end] + " | " + eachFilter + args[end:]
}

// verbatim reads to the end of raw or comment.
func (s *scanner) verbatim(opener, name, closer string) error {
	end := regexp.MustCompile(`\{%-?\s*end` + name + `\s*-?%\}`)
	m := end.FindStringIndex(s.text[s.at:])
	if m == nil {
		return s.fail("%s is never closed by end%s", name, name)
	}
	text, last := s.text[s.at:s.at+m[0]], s.text[s.at+m[0]:s.at+m[1]]
	s.at += m[1]
	lines := strings.Count(text+last, "\n")
	s.line += lines
	lines += strings.Count(closer, "\n")
	left, right := strings.HasPrefix(opener, "{%-"), strings.HasSuffix(last, "-%}")
	if strings.HasPrefix(strings.TrimSpace(closer), "-") {
		text = strings.TrimLeft(text, " \t\r\n")
	}
	if strings.HasPrefix(last, "{%-") {
		text = strings.TrimRight(text, " \t\r\n")
	}
	if name == "comment" {
		text = ""
	}
	s.out.WriteString("{%" + dash(left) + " " + rawTag + " x" + base64.RawURLEncoding.EncodeToString([]byte(text)) +
		" " + strings.Repeat("\n", lines) + dash(right) + "%}")
	return nil
}

func dash(on bool) string {
	if on {
		return "-"
	}
	return ""
}

// pipeline splits at | outside of strings; there is always a first part.
func pipeline(s string) []string {
	var parts []string
	from, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '|':
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

func ranges(s string) bool { return strings.Contains(quoted.ReplaceAllString(s, ""), "..") }

// deep reports whether brackets stand in each other more than MaxNesting deep.
func deep(s string) bool {
	n := 0
	for i := range len(s) {
		switch s[i] {
		case '(', '[':
			if n++; n > MaxNesting {
				return true
			}
		case ')', ']':
			n--
		}
	}
	return false
}
