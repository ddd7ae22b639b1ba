package message

import (
	"slices"
	"strings"

	nethtml "golang.org/x/net/html"
)

// How tags show in plain text.
var (
	hidden     = []string{"head", "style", "script", "title", "template", "noscript"}
	paragraphs = []string{"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "hr", "section", "article", "header", "footer"}
	lines      = []string{"div", "tr", "li", "br", "dt", "dd", "center", "address"}
)

// textOf is what a page says without its looks: paragraphs apart, list items with a dash, links with their address.
func textOf(page string) string {
	z := nethtml.NewTokenizer(strings.NewReader(page))
	t := texter{}
	for {
		switch kind := z.Next(); kind {
		case nethtml.ErrorToken:
			return t.String()
		case nethtml.TextToken:
			if t.skip == "" {
				t.words(string(z.Text()))
			}
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken, nethtml.EndTagToken:
			t.tag(z, kind)
		default: // comments and doctypes say nothing
		}
	}
}

// texter collects text; gap is how many line breaks are due before the next word.
type texter struct {
	out    strings.Builder
	gap    int
	space  bool
	skip   string   // the hidden element we are in
	hrefs  []string // of the links we are in
	starts []int    // where their texts begin
}

func (t *texter) String() string {
	if t.out.Len() == 0 {
		return ""
	}
	return t.out.String() + "\n"
}

func (t *texter) words(s string) {
	for i, w := range strings.Fields(s) {
		if i > 0 || strings.IndexAny(s[:1], " \t\r\n\f") == 0 {
			t.space = true
		}
		t.word(w)
	}
	if s != "" && strings.ContainsAny(s[len(s)-1:], " \t\r\n\f") {
		t.space = true
	}
}

func (t *texter) word(w string) {
	switch {
	case t.out.Len() == 0:
	case t.gap > 0:
		t.out.WriteString(strings.Repeat("\n", t.gap))
	case t.space:
		t.out.WriteByte(' ')
	}
	t.gap, t.space = 0, false
	t.out.WriteString(w)
}

func (t *texter) tag(z *nethtml.Tokenizer, kind nethtml.TokenType) {
	token := z.Token()
	open, name := kind != nethtml.EndTagToken, token.Data
	if t.skip != "" || open && kind == nethtml.StartTagToken && slices.Contains(hidden, name) {
		switch {
		case t.skip == "":
			t.skip = name
		case !open && name == t.skip, open && name == "body": // a head may be left open
			t.skip = ""
		}
		return
	}
	switch {
	case name == "a" && open:
		t.hrefs, t.starts = append(t.hrefs, attribute(token, "href")), append(t.starts, t.out.Len())
	case name == "a":
		t.leave()
	case name == "img":
		t.words(attribute(token, "alt"))
	case name == "td" || name == "th":
		t.space = true
	case slices.Contains(paragraphs, name):
		t.gap = 2
	case name == "br":
		t.gap = min(2, t.gap+1)
	case slices.Contains(lines, name):
		t.gap = max(t.gap, 1)
	}
	if name == "li" && open {
		t.word("-")
		t.space = true
	}
}

// leave ends a link: its address follows, unless it is the text already or leads nowhere outside.
func (t *texter) leave() {
	n := len(t.hrefs) - 1
	if n < 0 {
		return
	}
	href, text := t.hrefs[n], strings.TrimSpace(t.out.String()[t.starts[n]:])
	t.hrefs, t.starts = t.hrefs[:n], t.starts[:n]
	if href == "" || href[0] == '#' || text == href || strings.TrimPrefix(href, "mailto:") == text {
		return
	}
	if text == "" {
		t.word(href)
		return
	}
	t.out.WriteString(" (" + strings.Join(strings.Fields(href), "") + ")")
}

func attribute(t nethtml.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
