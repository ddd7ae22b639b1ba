package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
)

// examples are shown at the end of each command's --help.
var examples = map[string]string{
	"": `  rapport demo                                try everything out, with made-up people
  rapport serve                               run a server in ./rapport-data
  rapport apply -f onboarding.yaml --dry-run  see what a workspace file would change`,
	"serve": `  rapport serve
  rapport serve --listen 0.0.0.0:8080 --base-url https://mail.example.com \
      --smtp-url 'smtp://user:password@mail.example.com:587?tls=starttls'
  rapport serve --database-url postgres://rapport@db/rapport --nats-url nats://a:4222,nats://b:4222,nats://c:4222
  RAPPORT_ADMIN_KEY_FILE=/run/secrets/admin rapport serve`,
	"demo":          "  rapport demo\n  rapport demo --people 1000 --listen 127.0.0.1:9000",
	"apply":         "  rapport apply -f onboarding.yaml --dry-run\n  rapport apply -f onboarding.yaml --prune\n  cat onboarding.yaml | rapport apply -f -",
	"export":        "  rapport export > workspace.yaml\n  rapport export --workspace acme",
	"keys":          "  rapport keys create --kind agent --name claude --scopes read --expires-in 90d\n  rapport keys list --kind agent\n  rapport keys revoke 7",
	"keys create":   "  rapport keys create --kind track --workspace acme\n  rapport keys create --kind agent --name claude --scopes read --expires-in 90d",
	"keys list":     "  rapport keys list\n  rapport keys list --kind agent --json",
	"keys revoke":   "  rapport keys revoke 7",
	"why":           "  rapport why 42\n  rapport why ada@example.com --campaign onboarding\n  rapport why cio_abcdefgh --json",
	"clock":         "  rapport clock show\n  rapport clock advance 72h\n  rapport clock set 2027-01-01T09:00:00Z",
	"clock show":    "  rapport clock show --workspace acme",
	"clock advance": "  rapport clock advance 72h\n  rapport clock advance 3d",
	"clock set":     "  rapport clock set 2027-01-01T09:00:00Z",
	"backup":        "  rapport backup rapport-2027-01-01.backup",
	"restore":       "  rapport restore rapport-2027-01-01.backup --data ./restored",
	"migrate":       "  rapport migrate --data ./rapport-data\n  rapport migrate --database-url postgres://rapport@db/rapport",
	"mcp":           "  RAPPORT_AGENT_KEY=agk_… rapport mcp --server http://127.0.0.1:8080",
	"bench":         "  rapport bench\n  rapport bench --rounds 5 --people 100000 --json\n  rapport bench --database-url postgres://localhost/bench",
	"completion":    "  source <(rapport completion bash)\n  rapport completion zsh > ~/.zfunc/_rapport\n  rapport completion fish > ~/.config/fish/completions/rapport.fish",
	"version":       "  rapport version --json",
}

// helpWithExamples is kong's help with examples and the exit codes behind it.
func helpWithExamples(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	var words []string
	for _, p := range ctx.Path {
		if p.Command != nil {
			words = append(words, p.Command.Name)
		}
	}
	if e := examples[strings.Join(words, " ")]; e != "" {
		fmt.Fprintf(ctx.Stdout, "\nExamples:\n%s\n", e)
	}
	fmt.Fprintln(ctx.Stdout, "\nA variable RAPPORT_X of a secret may be given as RAPPORT_X_FILE, the file that holds it.")
	fmt.Fprintln(ctx.Stdout, "Exit codes: 0 done, 1 tried and failed, 2 wrong command line or something missing.")
	return nil
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run is the command.
func (c *completionCmd) Run(a *app, k *kong.Kong) error {
	words := map[string][]string{} // words that may follow a command path
	collect(k.Model.Node, "", words)
	paths := make([]string, 0, len(words))
	for p := range words {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	switch c.Shell {
	case "fish":
		for _, p := range paths {
			for _, w := range words[p] {
				cond := "__fish_use_subcommand"
				if p != "" {
					cond = "__fish_seen_subcommand_from " + p
				}
				if flag, ok := strings.CutPrefix(w, "--"); ok {
					fmt.Fprintf(a.out, "complete -c rapport -n '%s' -l %s\n", cond, flag)
				} else {
					fmt.Fprintf(a.out, "complete -c rapport -f -n '%s' -a %s\n", cond, w)
				}
			}
		}
		return nil
	case "zsh":
		fmt.Fprintln(a.out, "#compdef rapport\nautoload -U +X bashcompinit && bashcompinit")
	}
	fmt.Fprintln(a.out, "_rapport() {\n  local path=\"\" w\n  for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do case \"$w\" in -*) ;; *) path=\"$path $w\" ;; esac; done\n  case \"${path# }\" in")
	for _, p := range paths {
		fmt.Fprintf(a.out, "    %q) COMPREPLY=($(compgen -W %q -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n", p, strings.Join(words[p], " "))
	}
	fmt.Fprintln(a.out, "  esac\n}\ncomplete -o default -F _rapport rapport")
	return nil
}

func collect(n *kong.Node, path string, words map[string][]string) {
	for _, f := range n.Flags {
		if !f.Hidden {
			words[path] = append(words[path], "--"+f.Name)
		}
	}
	for _, child := range n.Children {
		words[path] = append(words[path], child.Name)
		collect(child, strings.TrimSpace(path+" "+child.Name), words)
	}
}
