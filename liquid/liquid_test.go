package liquid

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func options() Options {
	return Options{
		Now:            at,
		Unsubscribe:    func() string { return "<a>bye</a>" },
		UnsubscribeURL: func() string { return "https://x/u" },
		Link: func(url string, track bool) (string, error) {
			if track {
				return "t:" + url, nil
			}
			return url, nil
		},
	}
}

func vars() map[string]any {
	return map[string]any{
		"customer": map[string]any{
			"name": "ada", "empty": "", "null": nil, "n": int64(7), "f": 2.5, "big": 1500000.0, "yes": true,
			"tags": []any{"x", "y", "z"}, "at": int64(1772600767),
			"rows": []any{map[string]any{"k": "a", "p": 1.5}, map[string]any{"k": "b", "p": int64(2)}},
			"map":  map[string]any{"a": int64(1), "b": int64(2), "c": int64(3)},
		},
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"plain } { text % }}", "plain } { text % }}"},
		{"Hi {{customer.name}}!", "Hi ada!"},
		{"{{ customer.name | upcase | append: '!' }}", "ADA!"},
		{"{{ customer.nope | default: 'you' }}", "you"},
		{"{{ customer.nope | upcase | default: 'you' }}", "you"},
		{"{{ customer.empty | default: 'you' }}", "you"},
		{"{{ nope.deeper.still | default: \"you\" }}", "you"},
		{"{% if customer.nope %}{{ customer.nope }}{% else %}none{% endif %}", "none"},
		{"{% unless customer.nope %}none{% endunless %}", "none"},
		{"{{ customer['name'] }}{{ customer[\"name\"] }}", "adaada"},
		{"{{ customer.tags[0] }}{{ customer.tags[1] }}{{ customer.tags.last }}", "xyz"},
		{"{{ customer.tags | join: ', ' }} {{ customer.tags | size }}", "x, y, z 3"},
		{"{% for t in customer.tags %}{{ forloop.index }}{{ t }}{% unless forloop.last %},{% endunless %}{% endfor %}", "1x,2y,3z"},
		{"{% for t in customer.nope %}{{ t }}{% else %}none{% endfor %}", "none"},
		{"{% for i in (1..3) %}{{ i }}{% endfor %}", "123"},
		{"{% for i in (1..customer.n) reversed limit: 2 %}{{ i }}{% endfor %}", "76"},
		{"{% for p in customer.map %}{{ p[0] }}={{ p[1] }};{% endfor %}", "a=1;b=2;c=3;"},
		{"{% for p in customer.map limit: 1 %}{{ p[0] }}{% endfor %}", "a"},
		{"{% for r in customer.rows %}{{ r.k }}:{{ r.p }} {% endfor %}", "a:1.5 b:2 "},
		{"{% for i in (1..5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"},
		{"{% assign x = customer.n | times: 3 %}{{ x }}{% if x > 20 %} big{% endif %}", "21 big"},
		{"{% capture x %}<{{ customer.name }}>{% endcapture %}{{ x }}{{ x }}", "<ada><ada>"},
		{"{% case customer.n %}{% when 1 %}one{% when 7 %}seven{% endcase %}", "seven"},
		{"{% raw %}{{ not.this }} {% if %}{% endraw %}.", "{{ not.this }} {% if %}."},
		{"a{% comment %} {{ nope }} {% if {% endcomment %}b", "ab"},
		{"a {%- if true -%} b {%- endif -%} c", "abc"},
		{"{{ customer.nope\n | default:\n 'you' }}", "you"},
		{"{{ customer.n | plus: 1 }} {{ customer.n | divided_by: 2 }} {{ customer.n | divided_by: 2.0 }} {{ customer.n | modulo: 4 }}", "8 3 3.5 3"},
		{"{{ customer.big }} {{ customer.big | times: 2 }} {{ customer.f | plus: 0.5 }} {{ customer.f | round }} {{ customer.f | floor }}", "1500000 3000000 3 3 2"},
		{"{{ '12' | plus: '3' }} {{ -7 | divided_by: 2 }} {{ customer.f | times: 1.111 | round: 2 }}", "15 -4 2.78"},
		{"{{ 'éa' | capitalize }} {{ 'abcdef' | slice: 1, 3 }} {{ 'abcdef' | slice: -2, 9 }} [{{ 'abc' | slice: 9 }}]", "Éa bcd ef []"},
		{"{{ 'one two three' | truncatewords: 2 }} {{ 'abcdefgh' | truncate: 6 }} {{ 'abc' | truncate: 2000 }}", "one two... abc... abc"},
		{"{{ customer.at | date: '%Y-%m-%d %H:%M' }} {{ '2026-01-02' | date: '%d.%m.' }} {{ 'now' | date: '%Y' }} {{ 'soon' | date: '%Y' }}", "2026-03-04 05:06 02.01. 2026 soon"},
		{"{{ customer.rows | map: 'k' | join }} {{ 'a-b' | split: '-' | reverse | join: '' }}", "a b ba"},
		{"{{ customer.rows | json }}", `[{"k":"a","p":1.5},{"k":"b","p":2}]`},
		{"{{ '<a>' | escape }} {{ 'a b&' | url_encode }} {{ '<b>x</b>' | strip_html }}", "&lt;a&gt; a+b%26 x"},
		{"{{ customer.yes }} {{ false }} {{ customer.n == 7 }}", "true false true"},
		{"{% unsubscribe %} {% unsubscribe_url %}", "<a>bye</a> https://x/u"},
		{"{% cio_link url:'https://a/' %} {% cio_link url: customer.name, track:false %} {% cio_link track: true url: \"b\" url_params:false %}", "t:https://a/ ada t:b"},
	} {
		tmpl, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		got, err := tmpl.Render(vars(), options())
		if got != c.want || err != nil {
			t.Errorf("Render(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, name string
		line     int
	}{
		{"Hi {{ customer.first_name }}", "customer.first_name", 1},
		{"Hi\n{{ customer.first_name | capitalize | append: '!' }}", "customer.first_name", 2},
		{"{{ event.plan }}", "event.plan", 1},
		{"{{ customer.null }}", "customer.null", 1},
		{"a\n{% if customer.yes %}\n{{ customer['x y'] }}{% endif %}", "customer['x y']", 3},
		{"{{\n\ncustomer.name }}\n{{ customer.name.deeper }}", "customer.name.deeper", 4},
		{"{% raw %}\n\n{% endraw %}{% comment %}\n{% endcomment %}{{ x }}", "x", 4},
		{"{% for t in customer.tags %}\n{{ t.nope }}{% endfor %}", "t.nope", 2},
		{"{{ customer.nope | default: customer.null }}", "customer.nope | default: customer.null", 1},
	} {
		tmpl, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		_, err = tmpl.Render(vars(), options())
		var e *Error
		if !errors.As(err, &e) || e.Variable != c.name || e.Line != c.line || !strings.Contains(e.Error(), c.name+" has no value") {
			t.Errorf("Render(%q) = %v, want %s missing on line %d", c.in, err, c.name, c.line)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
	}{
		{"{{ a", "line 1: {{ is never closed"},
		{"x\n{% if a", "line 2: {% is never closed"},
		{"{{ }}", "line 1: {{}} is empty"},
		{"{{ a b }}", "line 1: syntax error"},
		{"{{ a | }}", "line 1: there is no filter behind |"},
		{"{{ a | shout }}", "line 1: there is no filter shout"},
		{"{{ a | _need: 'b' }}", "line 1: there is no filter _need"},
		{"{{ a | type }}", "line 1: there is no filter type"},
		{"\n{% assign a = b | shout %}", "line 2: there is no filter shout"},
		{"{% if a %}", "unterminated"},
		{"{% endif %}", "endif"},
		{"{% frob %}", "line 1: undefined tag \"frob\""},
		{"{% _turn %}", "line 1: _turn is no tag"},
		{"{% include '/etc/passwd' %}", "include is not supported"},
		{"{% raw %}", "raw is never closed by endraw"},
		{"{% capture %}x{% endcapture %}", "capture needs the name"},
		{"{{ (1..9) | join }}", "a range can only stand in a for"},
		{"{% for i in (1..9) | sort %}{% endfor %}", "a range can only stand in a for, without filters"},
		{"{% cio_link %}", "needs a url"},
		{"{% cio_link link:'x' %}", "has no link"},
		{"{% unsubscribe now %}", "takes nothing behind its name"},
		{strings.Repeat("{% if a %}", 101), "more than 100 deep"},
		{"{{ " + strings.Repeat("a[", 101), "never closed"},
		{"{{ " + strings.Repeat("a[", 101) + " }}", "cannot be read"},
		{strings.Repeat("x", MaxSource+1), "is longer than"},
		{"{{ 99999999999999999999 }}", "cannot be parsed"},
	} {
		_, err := Parse(c.in)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%.60q) = %v, want %q", c.in, err, c.want)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	double := "{% assign s = 'xxxxxxxxxxxxxxxx' %}" + strings.Repeat("{% assign s = s | append: s %}", 40)
	for _, c := range []struct {
		in, want string
	}{
		{"{{ 1 | divided_by: 0 }}", "division by zero"},
		{"{% for i in (1..2000000000) %}{% endfor %}", "too much work"},
		{"{% for i in (1..2000000000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{ 'y' | append: '" + strings.Repeat("z", 200) + "' }}{% endfor %}", "writes more than"},
		{double, "too much work"},
		{"{% capture s %}xxxxxxxxxxxxxxxx{% endcapture %}" + strings.Repeat("{% capture s %}{{ s }}{{ s }}{% endcapture %}", 40), "writes more than"},
		{"{% assign s = 'x' %}{% for i in (1..30) %}{% assign s = s | replace: 'x', 'xxxx' %}{% endfor %}", "than"},
		{"{{ 'now' | date: '%999999999Y' }}", "format is too long"},
		{"{% break %}", "outside a loop"},
		{"{% cio_link url: nope %}", "has no value"},
		{"{{ customer.tags | plus }}{{ 'a' | slice: 'x' }}", "can't convert"},
	} {
		tmpl, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%.60q): %v", c.in, err)
			continue
		}
		out, err := tmpl.Render(vars(), options())
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Render(%.60q) = %.60q, %v, want %q", c.in, out, err, c.want)
		}
	}
	for _, in := range []string{"{% unsubscribe %}", "{% unsubscribe_url %}", "{% cio_link url:'x' %}", "{{ 'now' | date: '%Y' }}"} {
		tmpl, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := tmpl.Render(nil, Options{}); err == nil {
			t.Errorf("Render(%q) without options = %q, want an error", in, out)
		}
	}
}
