package link

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
)

// style is the look of all pages. Its hash is in the content security policy, so nothing else can style or script them.
const style = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --page: #f4f6f8; --card: #fff; --accent: #1f5eff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a4afbd; --page: #12161c; --card: #1c222b; --accent: #7aa2ff; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--ink);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { box-sizing: border-box; width: min(26rem, calc(100vw - 2rem)); padding: 2rem; border-radius: 14px; background: var(--card);
  box-shadow: 0 1px 2px #0001, 0 8px 30px #0001; }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; line-height: 1.25; }
p { margin: 0 0 1.5rem; color: var(--soft); }
p:last-child { margin-bottom: 0; }
button { width: 100%; padding: .8rem 1rem; border: 0; border-radius: 10px; background: var(--accent); color: var(--card);
  font: inherit; font-weight: 600; cursor: pointer; }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
`

// frame is what all pages have around their text.
const frame = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
`

// pages are the few things a person may see.
type pages struct{ policy string }

func newPages() pages {
	sum := sha256.Sum256([]byte(style))
	return pages{policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
}

// page writes a page. All its text is ours, so there is nothing to escape.
func (pages) page(w http.ResponseWriter, status int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	text := strings.NewReplacer("{title}", title, "{style}", style, "{body}", body).Replace(frame)
	_, _ = io.WriteString(w, text) //nolint:errcheck // a reader who has left needs no answer
}

func (p pages) ask(w http.ResponseWriter) {
	p.page(w, http.StatusOK, "Unsubscribe?",
		"<p>You will get no more of these emails. Messages about things you do, such as receipts, may still come.</p>\n"+
			"<form method=\"post\">\n<input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\n<button type=\"submit\">Unsubscribe</button>\n</form>")
}

func (p pages) done(w http.ResponseWriter) {
	p.page(w, http.StatusOK, "You are unsubscribed", "<p>You will get no more of these emails. You can close this page.</p>")
}

func (p pages) failed(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "30")
	p.page(w, http.StatusServiceUnavailable, "That did not work",
		"<p>You are not unsubscribed yet. Please try again in a moment.</p>\n<form method=\"post\">\n<button type=\"submit\">Try again</button>\n</form>")
}

func (p pages) notFound(w http.ResponseWriter) {
	p.page(w, http.StatusNotFound, "This link does not work",
		"<p>It is incomplete or was changed. Please open the email again and use the link in it.</p>")
}
