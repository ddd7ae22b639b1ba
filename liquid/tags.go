package liquid

import (
	"encoding/base64"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/tags"
)

// The tags that this package adds. Names that start with _ come from the scanner alone.
const (
	turnTag           = "_turn"
	rawTag            = "_raw"
	captureBlock      = "_capture"
	unsubscribeTag    = "unsubscribe"
	unsubscribeURLTag = "unsubscribe_url"
	linkTag           = "cio_link"
)

// hostKey is where a render's own state stands among its variables; no identifier has a space.
const hostKey = "the host"

type host struct {
	budget  *budget
	options Options
}

type renderer = func(io.Writer, render.Context) error

var errNoHost = errors.New("is not rendered by Template.Render")

func hostOf(ctx render.Context) (*host, error) {
	if h, ok := ctx.Get(hostKey).(*host); ok {
		return h, nil
	}
	return nil, errNoHost
}

// grammar is the engine's tags with ours in place of those that read files or have no bound.
func grammar() render.Config {
	c := render.NewConfig()
	tags.AddStandardTags(c)
	c.StrictVariables = true
	c.AddTag("include", func(string) (renderer, error) { return nil, errors.New("include is not supported") })
	c.AddTag("assign", assign)
	c.AddTag(turnTag, plain(func(w io.Writer, h *host, _ render.Context) error { return h.budget.charge(turn) }))
	c.AddTag(rawTag, raw)
	c.AddTag(unsubscribeTag, plain(func(w io.Writer, h *host, _ render.Context) error {
		return write(w, unsubscribeTag, h.options.Unsubscribe)
	}))
	c.AddTag(unsubscribeURLTag, plain(func(w io.Writer, h *host, _ render.Context) error {
		return write(w, unsubscribeURLTag, h.options.UnsubscribeURL)
	}))
	c.AddTag(linkTag, link)
	c.AddBlock(captureBlock).Compiler(capture)
	return c
}

// plain makes a tag without arguments.
func plain(do func(io.Writer, *host, render.Context) error) render.TagCompiler {
	return func(args string) (renderer, error) {
		if args != "" {
			return nil, errors.New("takes nothing behind its name, found " + clip(args))
		}
		return func(w io.Writer, ctx render.Context) error {
			h, err := hostOf(ctx)
			if err != nil {
				return err
			}
			return do(w, h, ctx)
		}, nil
	}
}

func write(w io.Writer, tag string, text func() string) error {
	if text == nil {
		return errors.New(tag + " cannot be used here")
	}
	_, err := io.WriteString(w, text())
	return err
}

func assign(args string) (renderer, error) {
	stmt, err := expressions.ParseStatement(expressions.AssignStatementSelector, args)
	if err != nil {
		return nil, err
	}
	return func(_ io.Writer, ctx render.Context) error {
		h, err := hostOf(ctx)
		if err != nil {
			return err
		}
		v, err := ctx.Evaluate(stmt.Assignment.ValueFn)
		if err != nil {
			return err
		}
		if err := h.budget.charge(size(v)); err != nil {
			return err
		}
		ctx.Set(stmt.Assignment.Variable, v)
		return nil
	}, nil
}

var nameForm = regexp.MustCompile(`^[A-Za-z_][\w-]*$`)

func capture(node render.BlockNode) (renderer, error) {
	name := strings.Trim(node.Args, `"' `)
	if !nameForm.MatchString(name) {
		return nil, errors.New("capture needs the name of a variable")
	}
	return func(_ io.Writer, ctx render.Context) error {
		h, err := hostOf(ctx)
		if err != nil {
			return err
		}
		w := &writer{budget: h.budget, limit: MaxOutput}
		if err := ctx.RenderChildren(w); err != nil {
			return err
		}
		if err := h.budget.charge(w.buf.Len()); err != nil {
			return err
		}
		ctx.Set(name, w.buf.String())
		return nil
	}, nil
}

// raw writes the text that the scanner packed into the tag, behind an x because an argument cannot be empty.
func raw(args string) (renderer, error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(args, "x"))
	if err != nil {
		return nil, err
	}
	return func(w io.Writer, _ render.Context) error {
		_, err := w.Write(text)
		return err
	}, nil
}

var argumentForm = regexp.MustCompile(`^\s*,?\s*(\w+)\s*:\s*("[^"]*"|'[^']*'|[^\s,]+)`)

// link reads url, track and url_params; the last is taken and has no effect, as there are no parameters to add.
func link(args string) (renderer, error) {
	given := map[string]expressions.Expression{}
	for rest := args; strings.TrimSpace(rest) != ""; {
		m := argumentForm.FindStringSubmatch(rest)
		if m == nil {
			return nil, errors.New("cannot read " + clip(rest))
		}
		if m[1] != "url" && m[1] != "track" && m[1] != "url_params" {
			return nil, errors.New(linkTag + " has no " + clip(m[1]))
		}
		e, err := expressions.Parse(m[2])
		if err != nil {
			return nil, err
		}
		given[m[1]], rest = e, rest[len(m[0]):]
	}
	if given["url"] == nil {
		return nil, errors.New(linkTag + " needs a url")
	}
	return func(w io.Writer, ctx render.Context) error { return writeLink(w, ctx, given) }, nil
}

func writeLink(w io.Writer, ctx render.Context, given map[string]expressions.Expression) error {
	h, err := hostOf(ctx)
	if err != nil {
		return err
	}
	if h.options.Link == nil {
		return errors.New(linkTag + " cannot be used here")
	}
	v, err := ctx.Evaluate(given["url"])
	if err != nil {
		return err
	}
	url, ok := v.(string)
	if !ok || url == "" {
		return errors.New("the url of " + linkTag + " has no value")
	}
	track := true
	if given["track"] != nil {
		if v, err = ctx.Evaluate(given["track"]); err != nil {
			return err
		}
		track = v != false && v != nil
	}
	text, err := h.options.Link(url, track)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}
