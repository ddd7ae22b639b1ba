package message

import (
	"bytes"
	"html"
	"net/url"
	"slices"
	"strings"

	nethtml "golang.org/x/net/html"
)

// rewriter changes where links lead and adds what a reader does not see. All other bytes stay as the author wrote them:
// mail programs are particular, and so are authors.
type rewriter struct {
	click            func(href string) string // nil: links stay
	preheader, pixel string
}

// web reports whether a link leads to the web, so that it can be tracked.
func web(href string) bool {
	u, err := url.Parse(href)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) && u.Host != ""
}

// rewrite puts the preheader first in the body and the pixel last.
func (w *rewriter) rewrite(page string) string {
	z := nethtml.NewTokenizer(strings.NewReader(page))
	var out bytes.Buffer
	out.Grow(len(page) + len(page)/2 + len(w.preheader) + len(w.pixel))
	first, last, at := 0, -1, 0
	found := "" // the best place for the preheader so far: "" < html < head < body
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			break
		}
		raw := page[at : at+len(z.Raw())]
		at += len(raw)
		switch kind {
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			name, more := z.TagName()
			switch tag := string(name); {
			case (tag == "a" || tag == "area") && more && w.click != nil:
				raw = w.link(z, raw)
			case tag == "body" && found != "body", tag == "html" && found == "":
				found, first = tag, out.Len()+len(raw)
			}
		case nethtml.EndTagToken:
			switch name, _ := z.TagName(); {
			case string(name) == "head" && found != "body":
				found, first = "head", out.Len()+len(raw)
			case string(name) == "body":
				last = out.Len()
			}
		default: // text, comments and doctypes stay
		}
		out.WriteString(raw)
	}
	out.WriteString(page[at:]) // a tag that is never closed
	if last < first {
		last = out.Len()
	}
	b := out.Bytes()
	return string(b[:first]) + w.preheader + string(b[first:last]) + w.pixel + string(b[last:])
}

// link returns the tag with another href, or as it is.
func (w *rewriter) link(z *nethtml.Tokenizer, raw string) string {
	href, seen := "", false
	for more := true; more; {
		var key, val []byte
		key, val, more = z.TagAttr()
		switch {
		case string(key) == "href" && !seen:
			href, seen = strings.TrimSpace(string(val)), true
		case string(key) == "class" && slices.Contains(strings.Fields(string(val)), "untracked"):
			return raw
		}
	}
	if !seen || !web(href) {
		return raw
	}
	to := w.click(href)
	if to == href {
		return raw
	}
	start, end := hrefValue(raw)
	if start < 0 {
		return raw
	}
	return raw[:start] + `"` + html.EscapeString(to) + `"` + raw[end:]
}

// hrefValue finds the value of the first href of a start tag, its quotes included; -1 if there is none.
func hrefValue(tag string) (start, end int) {
	const space = " \t\r\n\f"
	i := 1
	for i < len(tag) && !strings.ContainsRune(space+"/>", rune(tag[i])) {
		i++
	}
	for i < len(tag) {
		for i < len(tag) && strings.IndexByte(space+"/", tag[i]) >= 0 {
			i++
		}
		from := i
		for i < len(tag) && (i == from || tag[i] != '=') && strings.IndexByte(space+"/>", tag[i]) < 0 {
			i++
		}
		if from == i {
			return -1, -1
		}
		name := tag[from:i]
		for i < len(tag) && strings.IndexByte(space, tag[i]) >= 0 {
			i++
		}
		if i >= len(tag) || tag[i] != '=' {
			continue
		}
		for i++; i < len(tag) && strings.IndexByte(space, tag[i]) >= 0; {
			i++
		}
		start = i
		if i < len(tag) && (tag[i] == '"' || tag[i] == '\'') {
			n := strings.IndexByte(tag[i+1:], tag[i])
			if n < 0 {
				return -1, -1
			}
			i += n + 2
		} else {
			for i < len(tag) && strings.IndexByte(space+">", tag[i]) < 0 {
				i++
			}
		}
		if strings.EqualFold(name, "href") {
			return start, i
		}
	}
	return -1, -1
}

// pixel is the image that counts an open.
func pixel(url string) string {
	return `<img src="` + html.EscapeString(url) + `" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`
}

// preheader is what mail programs show behind the subject, and nobody sees in the mail.
func preheader(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return `<div style="display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all">` + html.EscapeString(text) + `</div>`
}
