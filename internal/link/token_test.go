package link

import (
	"encoding/base64"
	"strings"
	"testing"

	"rapport.example/internal/fault"
)

var signer = NewSigner([]byte("secret"), "https://mail.example.com/")

func tokenOf(url string) string {
	return strings.TrimSuffix(url[strings.LastIndexByte(url, '/')+1:], ".gif")
}

func TestToken(t *testing.T) {
	t.Parallel()
	l := signer.For(7, 1<<40)
	for url, want := range map[string]Token{
		l.Click("https://a.example/?x=é"): {Click, 7, 1 << 40, "https://a.example/?x=é"},
		l.Open():                          {Open, 7, 1 << 40, ""},
		l.Unsubscribe():                   {Unsubscribe, 7, 1 << 40, ""},
	} {
		path := map[Kind]string{Click: "https://mail.example.com/e/c/", Open: "https://mail.example.com/e/o/", Unsubscribe: "https://mail.example.com/e/u/"}[want.Kind]
		if !strings.HasPrefix(url, path) || strings.HasSuffix(url, ".gif") != (want.Kind == Open) {
			t.Errorf("%v has the address %s", want, url)
		}
		if got, err := signer.Parse(tokenOf(url), want.Kind); got != want || err != nil {
			t.Errorf("Parse(%s) = %+v, %v, want %+v", url, got, err, want)
		}
		for _, k := range []Kind{0, Click, Open, Unsubscribe, 4} {
			if got, err := signer.Parse(tokenOf(url), k); k != want.Kind && !fault.Is(err, fault.NotFound) {
				t.Errorf("Parse(%s, %d) = %+v, %v, want not found: it is for %d", url, k, got, err, want.Kind)
			}
		}
	}
	for _, href := range []string{"", "/a", "mailto:a@x.example", "javascript:alert(1)", "https:///a", "https://a.example/" + strings.Repeat("x", maxHref)} {
		if got := l.Click(href); got != href {
			t.Errorf("Click(%.40q) = %.80q, want it as it is", href, got)
		}
	}
}

// TestChangedToken changes every byte, and every character of the text: nothing but the token itself may pass.
func TestChangedToken(t *testing.T) {
	t.Parallel()
	good := tokenOf(signer.For(7, 9).Click("https://a.example"))
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{"", good[1:], good[:len(good)-1], good + "A", good + "=", good + "\n", "\r\n" + good, strings.Repeat("A", 10_000)}
	for i := range raw {
		b := append([]byte(nil), raw...)
		b[i] ^= 1
		bad = append(bad, base64.RawURLEncoding.EncodeToString(b))
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range good {
		for _, c := range letters {
			if other := good[:i] + string(c) + good[i+1:]; other != good {
				bad = append(bad, other)
			}
		}
	}
	bad = append(bad, tokenOf(NewSigner([]byte("other"), "").For(7, 9).Click("https://a.example")))
	for _, b := range bad {
		if got, err := signer.Parse(b, Click); !fault.Is(err, fault.NotFound) {
			t.Errorf("Parse(%.100q) = %+v, %v, want not found", b, got, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(tokenOf(signer.For(7, 9).Click("https://a.example")), byte(Click), int64(1), int64(2), "https://b.example")
	f.Add(tokenOf(signer.For(7, 9).Open()), byte(Open), int64(-1), int64(1)<<62, "")
	f.Add("AAAA", byte(0), int64(0), int64(0), "\x00")
	f.Fuzz(func(t *testing.T, text string, kind byte, workspace, delivery int64, href string) {
		if got, err := signer.Parse(text, Kind(kind)); err == nil && signer.sign(got) != text {
			t.Fatalf("Parse(%q) = %+v, which is signed as %q", text, got, signer.sign(got))
		}
		want := Token{Kind(kind), workspace, delivery, href}
		if len(href) > maxHref {
			return
		}
		if got, err := signer.Parse(signer.sign(want), want.Kind); got != want || err != nil {
			t.Fatalf("Parse = %+v, %v, want %+v", got, err, want)
		}
	})
}
