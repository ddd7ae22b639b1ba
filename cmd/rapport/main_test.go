package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// command runs a command line and returns what it printed.
func command(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &app{out: &out, err: &errs, in: strings.NewReader("")})
	return code, out.String(), errs.String()
}

// model is the command line as kong sees it.
func model(t testing.TB) *kong.Application {
	t.Helper()
	p, err := parser(t.Context(), &app{out: t.Output(), err: t.Output()}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return p.Model
}

// commands are the paths of all commands, those with subcommands too.
func commands(n *kong.Node, path []string) [][]string {
	var out [][]string
	for _, kid := range n.Children {
		p := append(path[:len(path):len(path)], kid.Name)
		out = append(append(out, p), commands(kid, p)...)
	}
	return out
}

func TestEveryCommandHasExamples(t *testing.T) {
	t.Parallel()
	all := commands(model(t).Node, nil)
	if len(all) < 20 {
		t.Fatalf("there are %d commands", len(all))
	}
	known := map[string]bool{"": true}
	for _, path := range all {
		name := strings.Join(path, " ")
		known[name] = true
		code, out, errs := command(t, append(path, "--help")...)
		if code != exitOK || errs != "" {
			t.Errorf("%s --help: exit code %d, %q", name, code, errs)
		}
		for _, want := range []string{"Examples:\n", "rapport " + path[0], "Exit codes: 0"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s --help lacks %q", name, want)
			}
		}
	}
	for name := range examples {
		if !known[name] {
			t.Errorf("examples for %q, which is no command", name)
		}
	}
}

func TestEveryFlagHasAVariable(t *testing.T) {
	t.Parallel()
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		for _, f := range n.Flags {
			if f.Name == "help" || f.Name == "bench" {
				continue
			}
			if len(f.Envs) != 1 || !strings.HasPrefix(f.Envs[0], "RAPPORT_") {
				t.Errorf("%s --%s has the variables %v, want one", n.Name, f.Name, f.Envs)
			}
			if f.Help == "" && !f.Hidden {
				t.Errorf("%s --%s has no help", n.Name, f.Name)
			}
		}
		for _, kid := range n.Children {
			visit(kid)
		}
	}
	visit(model(t).Node)
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		says string // somewhere in what it prints
	}{
		{"", exitOK, "Usage: rapport <command>"},
		{"--help", exitOK, "Usage: rapport <command>"},
		{"version", exitOK, "rapport "},
		{"version --json", exitOK, `"version"`},
		{"serv", exitUsage, "unexpected argument serv"},
		{"serve --limits some", exitUsage, "--limits must be one of"},
		{"serve --listen here", exitUsage, "--listen: must be host:port"},
		{"serve --listen 127.0.0.1:0 --data " + dir + " --smtp-url smtp://mail.example?tls=off", exitUsage, "on this machine only"},
		{"keys create --admin-key k", exitUsage, "--kind"},
		{"keys create --kind root --admin-key k", exitUsage, "--kind"},
		{"keys revoke seven --admin-key k", exitUsage, "id"},
		{"why 1 --admin-key=", exitUsage, "RAPPORT_ADMIN_KEY_FILE"},
		{"why 1 --admin-key k --server http://127.0.0.1:1", exitFailed, "no server answers at http://127.0.0.1:1"},
		{"apply --admin-key k -f " + dir + "/none.yaml", exitUsage, "cannot read the workspace file"},
		{"backup --admin-key k " + dir, exitUsage, "cannot make the backup file"},
		{"restore --admin-key k " + dir + "/none", exitUsage, "cannot read the backup"},
		{"migrate --data " + dir + "/migrated", exitOK, "applied 0001"},
		{"mcp --agent-key nothing", exitUsage, "agk_"},
		{"completion tcsh", exitUsage, "bash"},
		{"bench --only nothing --people 1", exitUsage, "nothing"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(out+errs, c.says) {
				t.Errorf("exit code %d, want %d with %q; it printed\n%s%s", code, c.code, c.says, out, errs)
			}
		})
	}
}

// TestVariables is not parallel: the environment is the process's.
func TestVariables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		env   map[string]string
		args  string
		key   string
		fails string
	}{
		{"variable", map[string]string{"RAPPORT_ADMIN_KEY": "plain"}, "keys list", "plain", ""},
		{"file", map[string]string{"RAPPORT_ADMIN_KEY_FILE": file}, "keys list", "from-a-file", ""},
		{"flag before file", map[string]string{"RAPPORT_ADMIN_KEY_FILE": file}, "keys list --admin-key flag", "flag", ""},
		{"both", map[string]string{"RAPPORT_ADMIN_KEY": "plain", "RAPPORT_ADMIN_KEY_FILE": file}, "keys list", "", "both set"},
		{"no such file", map[string]string{"RAPPORT_ADMIN_KEY_FILE": file + "x"}, "keys list", "", "RAPPORT_ADMIN_KEY_FILE"},
		{"no such file, other command", map[string]string{"RAPPORT_ADMIN_KEY_FILE": file + "x"}, "version", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			p, err := parser(t.Context(), &app{out: t.Output(), err: t.Output()}, func(int) {})
			if err != nil {
				t.Fatal(err)
			}
			k, err := p.Parse(strings.Fields(c.args))
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("Parse() = %v, want an error with %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range k.Flags() {
				if f.Name == "admin-key" && k.FlagValue(f) != c.key {
					t.Errorf("--admin-key = %v, want %q", k.FlagValue(f), c.key)
				}
			}
		})
	}
}
