package message

import (
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`plain`, `plain(o)`},
		{`<A HREF = 'http://a.example' id=b>x</A>`, `<A HREF = "c:http://a.example" id=b>x</A>(o)`},
		{`<a href=https://a.example/?b>x`, `<a href="c:https://a.example/?b">x(o)`},
		{`<a title='href="https://no.example"' data-href=https://no.example href=" https://a.example " href=https://second.example>`, `<a title='href="https://no.example"' data-href=https://no.example href="c:https://a.example" href=https://second.example>(o)`},
		{`<area/href="https://a.example"/>`, `<area/href="c:https://a.example"/>(o)`},
		{`<a href="https://a.example?a=1&amp;b=2&copy=3">`, `<a href="c:https://a.example?a=1&amp;b=2&amp;copy=3">(o)`},
		{`<a href="mailto:a@x.example"><a href="#x"><a href="/rel"><a href="tel:1"><a href=""><a href><a>`, `<a href="mailto:a@x.example"><a href="#x"><a href="/rel"><a href="tel:1"><a href=""><a href><a>(o)`},
		{`<a class="b untracked" href="https://a.example">`, `<a class="b untracked" href="https://a.example">(o)`},
		{`<link href="https://a.example"><img src=https://a.example>`, `<link href="https://a.example"><img src=https://a.example>(o)`},
		{`<!--[if mso]><a href="https://a.example"><![endif]--><style>a[href="https://a.example"]{}</style>`, `<!--[if mso]><a href="https://a.example"><![endif]--><style>a[href="https://a.example"]{}</style>(o)`},
		{`<body>x</body><p>y</BODY ></html>`, `<body>(p)x</body><p>y(o)</BODY ></html>`},
		{`<html><head></head>x`, `<html><head></head>(p)x(o)`},
		{`<html>x</html>`, `<html>(p)x</html>(o)`},
		{`</body>x<body>`, `</body>x<body>(p)(o)`},
		{"a <\x00b> & &amp; \r\n <br/> <a href=\"https://a.example", "a <\x00b> & &amp; \r\n <br/> <a href=\"https://a.example(o)"},
	} {
		w := rewriter{click: func(h string) string { return "c:" + h }, pixel: "(o)", preheader: "(p)"}
		if !strings.Contains(c.want, "(p)") {
			w.preheader = ""
		}
		if got := w.rewrite(c.in); got != c.want {
			t.Errorf("rewrite(%q)\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{``, ``},
		{`<p>One
		  two</p><p>three <b>four</b>, five<br>six<br><br>seven</p>`, "One two\n\nthree four, five\nsix\n\nseven\n"},
		{`<head><title>T</title><style>x</style></head><body><h1>H</h1>a</body>`, "H\n\na\n"},
		{`<ul><li>a</li><li>b <a href="https://a.example/">here</a></li></ul>c`, "- a\n- b here (https://a.example/)\n\nc\n"},
		{`<a href="https://a.example">https://a.example</a> <a href="mailto:a@x.example">a@x.example</a> <a href="#x">top</a>`, "https://a.example a@x.example top\n"},
		{`<a href="https://a.example"><img src=x alt="A picture"></a><a href="https://b.example"><img src=y></a>`, "A picture (https://a.example)https://b.example\n"},
		{`<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>`, "a b\nc\n"},
		{`a &amp; b &lt;c&gt;&nbsp;d`, "a & b <c> d\n"},
		{`<script>no</script><div>x</div></a></p>`, "x\n"},
	} {
		if got := textOf(c.in); got != c.want {
			t.Errorf("textOf(%q)\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

// FuzzRewrite holds that only the links change: with links that lead where they led, nothing does.
func FuzzRewrite(f *testing.F) {
	for _, in := range []string{
		`<a href="https://a.example?a=1&amp;b">x</a>`, `<body><a href='http://a'></body>`, `<a/href=http://a>`, `<!-- <a href="http://a"> -->`,
		"<textarea><a href=http://a></textarea>", "<a href=\"http://a\r\nb\" =x 'y'>", "<svg><a xlink:href=http://a href=http://b />", "<a ==href=http://a href=http://b>",
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if got := (&rewriter{}).rewrite(in); got != in {
			t.Fatalf("rewrite without links = %q, want %q", got, in)
		}
		hrefs, marked := 0, "https://t.example/MARK"
		w := rewriter{click: func(h string) string {
			if !web(h) {
				t.Fatalf("click(%q)", h)
			}
			hrefs++
			return marked
		}}
		out := w.rewrite(in)
		if n := strings.Count(out, `"`+marked+`"`) - strings.Count(in, `"`+marked+`"`); n > hrefs {
			t.Fatalf("rewrite(%q) = %q: %d marks for %d links", in, out, n, hrefs)
		}
		again := 0
		w.click = func(h string) string {
			again++
			return h
		}
		if w.rewrite(out); again != hrefs {
			t.Fatalf("rewrite(%q) = %q, in which %d links are seen, want %d", in, out, again, hrefs)
		}
		textOf(in)
	})
}
