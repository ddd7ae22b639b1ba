package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run is the command.
func (c *completionCmd) Run(a *app, k *kong.Kong) error {
	tree := newCompletion(k.Model.Node)
	switch c.Shell {
	case "fish":
		tree.fish(a.out)
	case "zsh":
		tree.zsh(a.out)
	default:
		tree.bash(a.out)
	}
	return nil
}

// completion is the command line as the shells need it.
type completion struct {
	places []place
	takes  map[string][]string // flags that take a value, "place --flag", with the values to choose from; none = anything, such as a file
}

// place is a command, and what may follow it.
type place struct {
	path  string // "keys create"; "" = rapport alone
	kids  []*kong.Node
	args  []string // values of its argument, if it has some to choose from
	flags []*kong.Flag
}

func newCompletion(root *kong.Node) *completion {
	c := &completion{takes: map[string][]string{}}
	c.add(root, "")
	return c
}

func (c *completion) add(n *kong.Node, path string) {
	p := place{path: path, kids: n.Children}
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		p.flags = append(p.flags, f)
		if f.IsBool() {
			continue
		}
		values := choices(f.Enum)
		c.takes[path+" --"+f.Name] = values
		if f.Short != 0 {
			c.takes[path+" -"+string(f.Short)] = values
		}
	}
	for _, a := range n.Positional {
		p.args = append(p.args, choices(a.Enum)...)
	}
	c.places = append(c.places, p)
	for _, kid := range n.Children {
		c.add(kid, strings.TrimSpace(path+" "+kid.Name))
	}
}

// choices are the values of an enum; the empty one is nothing to choose.
func choices(enum string) []string {
	return slices.DeleteFunc(strings.Split(enum, ","), func(s string) bool { return s == "" })
}

// words are all that may follow a place.
func (p *place) words() string {
	out := slices.Clone(p.args)
	for _, kid := range p.kids {
		out = append(out, kid.Name)
	}
	for _, f := range p.flags {
		out = append(out, "--"+f.Name)
	}
	return strings.Join(out, " ")
}

// steps are the patterns of "place word" that lead one place further, for a shell's case.
func (c *completion) steps(sep string) string {
	var out []string
	for _, p := range c.places {
		for _, kid := range p.kids {
			out = append(out, fmt.Sprintf("%q", p.path+" "+kid.Name))
		}
	}
	return strings.Join(out, sep)
}

// values calls choose for each flag of each place with values to choose from, and then any with the names of the others.
func (c *completion) values(choose func(flag, values string), any func(flags []string)) {
	free := map[string]bool{}
	for _, flag := range slices.Sorted(maps.Keys(c.takes)) {
		if v := c.takes[flag]; len(v) > 0 {
			choose(flag, strings.Join(v, " "))
		} else {
			free[flag[strings.LastIndexByte(flag, ' ')+1:]] = true
		}
	}
	any(slices.Sorted(maps.Keys(free)))
}

func (c *completion) bash(w io.Writer) {
	fmt.Fprint(w, `_rapport() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" at="" w
  COMPREPLY=()
  if [ "$cur" = "=" ]; then cur=""; elif [ "$prev" = "=" ]; then prev="${COMP_WORDS[COMP_CWORD-2]}"; fi
`)
	fmt.Fprintf(w, `  for w in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $w" in %s) at="${at:+$at }$w" ;; esac
  done
  case "$at $prev" in
`, c.steps("|"))
	c.values(func(flag, values string) {
		fmt.Fprintf(w, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", flag, values)
	}, func(flags []string) { fmt.Fprintf(w, "    *\" \"%s) return ;;\n", strings.Join(flags, "|*\" \"")) })
	fmt.Fprint(w, "  esac\n  case \"$at\" in\n")
	for _, p := range c.places {
		fmt.Fprintf(w, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", p.path, p.words())
	}
	fmt.Fprint(w, "  esac\n}\ncomplete -o default -F _rapport rapport\n")
}

func (c *completion) zsh(w io.Writer) {
	fmt.Fprint(w, `#compdef rapport
_rapport() {
  local at="" w
`)
	fmt.Fprintf(w, `  for w in "${(@)words[2,CURRENT-1]}"; do
    case "$at $w" in (%s) at="${at:+$at }$w" ;; esac
  done
  case "$at ${words[CURRENT-1]}" in
`, c.steps("|"))
	c.values(func(flag, values string) { fmt.Fprintf(w, "    (%q) compadd -- %s; return ;;\n", flag, values) },
		func(flags []string) {
			fmt.Fprintf(w, "    (*\" \"%s) _files; return ;;\n", strings.Join(flags, "|*\" \""))
		})
	fmt.Fprint(w, "  esac\n  case \"$at\" in\n")
	for _, p := range c.places {
		fmt.Fprintf(w, "    (%q) compadd -- %s ;;\n", p.path, p.words())
	}
	// Loaded from fpath, this file is the function's body; sourced, it has to register itself.
	fmt.Fprint(w, "  esac\n}\nif [ \"$funcstack[1]\" = _rapport ]; then _rapport \"$@\"; else compdef _rapport rapport; fi\n")
}

func (c *completion) fish(w io.Writer) {
	fmt.Fprintf(w, `function __rapport_at
  set -l at ""
  for w in (commandline -opc)[2..-1]
    switch "$at $w"
      case %s
        set at (string trim "$at $w")
    end
  end
  test "$at" = "$argv[1]"
end
`, c.steps(" "))
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	for _, p := range c.places {
		on := fmt.Sprintf("complete -c rapport -n '__rapport_at %q'", p.path)
		for _, kid := range p.kids {
			fmt.Fprintf(w, "%s -f -a %s -d %s\n", on, kid.Name, quote(kid.Help))
		}
		if len(p.args) > 0 {
			fmt.Fprintf(w, "%s -f -a %s\n", on, quote(strings.Join(p.args, " ")))
		}
		for _, f := range p.flags {
			how := ""
			switch values := c.takes[p.path+" --"+f.Name]; {
			case len(values) > 0:
				how = " -x -a " + quote(strings.Join(values, " "))
			case !f.IsBool():
				how = " -r"
			}
			fmt.Fprintf(w, "%s -l %s%s -d %s\n", on, f.Name, how, quote(f.Help))
		}
	}
}
