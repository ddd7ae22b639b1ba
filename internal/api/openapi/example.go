package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

//go:embed examples/*.txt
var files embed.FS

// Example is one request, and what a server answered.
type Example struct {
	ID, Method, Path string            // of the operation; Path has its parameters in braces
	URL              string            // path and query as sent; $name$ stands for what an earlier answer held
	Raw              string            // the body as sent, with $names$
	Body             any               // nil = none
	Keep             map[string]string // names for members of the answer, as in message=messages.0.id
	Status           int
	Answer           any    // nil = none, or not JSON
	Type             string // of an answer that is not JSON

	names, values []string
	query         [][2]string
}

// Delivery stands in documents for the delivery that examples are about; whoever calls them knows a real one as $delivery$.
const Delivery = "RPILAgUBcRhIBqSfeiIwdIYJKxTY"

// Examples reads the examples of an API, in the order in which they are to be called. Each is
//
//	id METHOD /path/{parameter} [name=member.of.answer]
//	> /path/as/sent
//	> {"body": "as sent"}
//	< 200 {"answer": 1}
func Examples(name string) ([]Example, error) {
	text, err := files.ReadFile("examples/" + name + ".txt")
	if err != nil {
		return nil, err
	}
	known := map[string]string{"delivery": Delivery, "writeKey": "write-key"}
	var out []Example
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		e, err := parse(block, known)
		if err != nil {
			return nil, fmt.Errorf("%s.txt: %w: %s", name, err, block)
		}
		out = append(out, e)
	}
	return out, nil
}

func parse(block string, known map[string]string) (e Example, err error) {
	lines := strings.Split(block, "\n")
	head := strings.Fields(lines[0])
	if len(head) < 3 {
		return e, fmt.Errorf("no id, method and path")
	}
	e.ID, e.Method, e.Path, e.Keep = head[0], head[1], head[2], map[string]string{}
	for _, k := range head[3:] {
		name, from, _ := strings.Cut(k, "=")
		e.Keep[name] = from
	}
	for _, line := range lines[1:] {
		mark, rest, _ := strings.Cut(line, " ")
		switch {
		case mark == ">" && e.URL == "":
			e.URL = rest
		case mark == ">":
			e.Raw += rest
		case mark == "<":
			status, answer, _ := strings.Cut(rest, " ")
			if e.Status, err = strconv.Atoi(status); err != nil {
				return e, err
			}
			if strings.HasPrefix(answer, "{") || strings.HasPrefix(answer, "[") {
				err = json.Unmarshal([]byte(answer), &e.Answer)
			} else {
				e.Type = answer
			}
			if err != nil {
				return e, err
			}
		}
	}
	if e.Raw != "" {
		if err := json.Unmarshal([]byte(Fill(e.Raw, known)), &e.Body); err != nil {
			return e, err
		}
	}
	for name, from := range e.Keep {
		known[name] = Member(e.Answer, from)
	}
	return e, e.read(known)
}

// read takes the URL apart.
func (e *Example) read(known map[string]string) error {
	path, query, _ := strings.Cut(Fill(e.URL, known), "?")
	have, want := strings.Split(path, "/"), strings.Split(e.Path, "/")
	if len(have) != len(want) {
		return fmt.Errorf("%s is not %s", path, e.Path)
	}
	for i, part := range want {
		if strings.HasPrefix(part, "{") {
			v, err := url.PathUnescape(have[i])
			if err != nil {
				return err
			}
			e.names, e.values = append(e.names, strings.Trim(part, "{}")), append(e.values, v)
		} else if part != have[i] {
			return fmt.Errorf("%s is not %s", path, e.Path)
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		if name, v, ok := strings.Cut(pair, "="); ok {
			v, err := url.QueryUnescape(v)
			if err != nil {
				return err
			}
			e.query = append(e.query, [2]string{name, v})
		}
	}
	return nil
}

// Fill puts what is known for $names.
func Fill(text string, known map[string]string) string {
	for name, v := range known {
		text = strings.ReplaceAll(text, "$"+name+"$", v)
	}
	return text
}

// Member is a member of an answer by its path, as text; "" if there is none.
func Member(v any, path string) string {
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				return ""
			}
			v = x[i]
		}
	}
	switch x := v.(type) {
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return ""
}
