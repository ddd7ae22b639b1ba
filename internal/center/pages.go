package center

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// style is the look of all pages. Its hash is in the content security policy, so nothing else can style or script them.
const style = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #566170; --page: #f4f6f8; --card: #fff; --line: #d9dfe6; --accent: #1f5eff; --good: #14713d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a4afbd; --page: #12161c; --card: #1c222b; --line: #313a46; --accent: #7aa2ff; --good: #6fd39b; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--ink);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { box-sizing: border-box; width: min(30rem, calc(100vw - 2rem)); margin: 1rem 0; padding: 2rem; border-radius: 14px; background: var(--card);
  box-shadow: 0 1px 2px #0001, 0 8px 30px #0001; }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; line-height: 1.25; }
p { margin: 0 0 1.25rem; color: var(--soft); }
.saved { color: var(--good); font-weight: 600; }
fieldset { margin: 0 0 1.25rem; padding: 0; border: 0; }
label { display: grid; grid-template-columns: 1.5rem 1fr; gap: .75rem; align-items: start; padding: .85rem 0; border-top: 1px solid var(--line); cursor: pointer; }
label:last-of-type { border-bottom: 1px solid var(--line); }
input[type=checkbox] { width: 1.25rem; height: 1.25rem; margin: .15rem 0 0; accent-color: var(--accent); }
small { display: block; color: var(--soft); font-size: .9rem; }
button { width: 100%; padding: .8rem 1rem; border: 0; border-radius: 10px; background: var(--accent); color: var(--card); font: inherit; font-weight: 600; cursor: pointer; }
button.plain { margin-top: .75rem; background: none; color: var(--soft); font-weight: 400; text-decoration: underline; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
`

const frame = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>
{{end}}{{with .Center}}{{if .Saved}}<p class="saved" role="status">Your choice is saved.</p>
{{end}}{{if .Unsubscribed}}<p>You are unsubscribed from everything. Saving here subscribes you to what is ticked.</p>
{{else}}<p>Choose what you want to receive.</p>
{{end}}<form method="post">
{{if .Choices}}<fieldset>
{{range .Choices}}<label><input type="checkbox" name="{{.Key}}" value="on"{{if .On}} checked{{end}}><span>{{.Text.Name}}{{with .Text.Description}}<small>{{.}}</small>{{end}}</span></label>
{{end}}</fieldset>
{{end}}<button type="submit">{{if .Choices}}Save{{else}}Subscribe{{end}}</button>
</form>
{{if not .Unsubscribed}}<form method="post"><button class="plain" type="submit" name="all" value="off">Unsubscribe from everything</button></form>
{{end}}{{end}}</main>
</body>
</html>
`

// shown is what the page of somebody's choices shows.
type shown struct {
	Choices      []choice
	Unsubscribed bool
	Saved        bool
}

type pages struct {
	policy string
	frame  *template.Template
}

func newPages() pages {
	sum := sha256.Sum256([]byte(style))
	return pages{
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		frame:  template.Must(template.New("page").Parse(frame)),
	}
}

type page struct {
	Title, Text string
	Style       template.CSS
	Center      *shown
}

func (p pages) write(w http.ResponseWriter, status int, v page) {
	v.Style = style
	var b bytes.Buffer
	if err := p.frame.Execute(&b, v); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) //nolint:errcheck // a reader who has left needs no answer
}

func (p pages) center(w http.ResponseWriter, v shown) {
	p.write(w, http.StatusOK, page{Title: "Manage your preferences", Center: &v})
}

func (p pages) broken(w http.ResponseWriter) {
	p.write(w, http.StatusNotFound, page{Title: "This link does not work", Text: "It is incomplete or was changed. Please use the link as it was given to you."})
}

func (p pages) tooOld(w http.ResponseWriter) {
	p.write(w, http.StatusGone, page{Title: "This link is too old", Text: "It was good for a day. Please ask for a new one where you found it."})
}

func (p pages) failed(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "30")
	p.write(w, http.StatusServiceUnavailable, page{Title: "That did not work", Text: "Nothing was changed. Please go back and try again in a moment."})
}
