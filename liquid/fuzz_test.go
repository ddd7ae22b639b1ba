package liquid

import (
	"errors"
	"testing"
)

// FuzzTemplate looks for panics, for output beyond the bound, and for renders that do not repeat.
func FuzzTemplate(f *testing.F) {
	for _, in := range []string{
		"{{ customer.name | default: 'x' | upcase }}", "{% for t in customer.tags reversed limit: 2 %}{{ t }}{% else %}-{% endfor %}",
		"{% if a == b and c contains 'x' %}{% elsif d %}{% else %}{% endif %}", "{%- assign a = customer.n | times: 2.5 -%}{{ a }}",
		"{% capture x %}{{ customer.map }}{% endcapture %}{{ x | size }}", "{% raw %}{{ }}{% endraw %}{% comment %}{% endcomment %}",
		"{% tablerow r in customer.rows cols: 2 %}{{ r.k }}{% endtablerow %}", "{% cycle 'a', 'b' %}{% case 1 %}{% when 1, 2 %}{% endcase %}",
		"{{ 'now' | date: '%Y' }}{{ customer.rows | sort: 'k' | map: 'p' | join }}", "{% cio_link url:'x' track:false %}{% unsubscribe %}",
		"{{{{ }}%}{%{{", "{% for i in (1..10) %}{{ forloop }}{% break %}{% endfor %}", "{{ (1..2) }}{{ a[b[c]].d }}",
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		tmpl, err := Parse(in)
		var e *Error
		if err != nil {
			if !errors.As(err, &e) {
				t.Fatalf("Parse(%q) = %T, want *Error", in, err)
			}
			return
		}
		first, err := tmpl.Render(vars(), options())
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("Render(%q) = %T, want *Error", in, err)
		}
		again, _ := tmpl.Render(vars(), options())
		if first != again || len(first) > MaxOutput {
			t.Fatalf("Render(%q) = %q, then %q", in, first, again)
		}
	})
}
