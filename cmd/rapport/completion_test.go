package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompletionBash asks a real bash. The other shells get the same tree from the same generator.
func TestCompletionBash(t *testing.T) {
	t.Parallel()
	_, script, _ := command(t, "completion", "bash")
	for line, want := range map[string]string{
		"rapport ke":                             "keys",
		"rapport keys ":                          "create list rotate allow revoke --help",
		"rapport keys create --kind a":           "app admin agent",
		"rapport keys create --kind = a":         "app admin agent",
		"rapport rejections --kind r":            "rejected",
		"rapport keys create --kind track --nam": "--name",
		"rapport clock advance 72h --js":         "--json",
		"rapport serve --listen serve --lo":      "--log-level --log-format",
		"rapport apply --file ":                  "", // left to the shell: files
		"rapport completion ":                    "bash zsh fish",
	} {
		words := strings.Fields(line)
		if strings.HasSuffix(line, " ") {
			words = append(words, "")
		}
		ask := fmt.Sprintf("%s\nCOMP_WORDS=(%s); COMP_CWORD=%d; _rapport; echo \"${COMPREPLY[*]}\"", script, quoted(words), len(words)-1)
		out, err := exec.CommandContext(t.Context(), "bash", "-c", ask).CombinedOutput()
		if err != nil {
			t.Fatalf("bash: %v\n%s", err, out)
		}
		got := strings.TrimSpace(strings.ReplaceAll(string(out), "--help", ""))
		if diff := cmp.Diff(strings.TrimSpace(strings.ReplaceAll(want, "--help", "")), got); diff != "" {
			t.Errorf("completion of %q (-want +got):\n%s", line, diff)
		}
	}
}

func quoted(words []string) string {
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, "'%s' ", w)
	}
	return b.String()
}

// TestCompletionKnowsEverything looks for every command and flag in every shell's script.
func TestCompletionKnowsEverything(t *testing.T) {
	t.Parallel()
	tree := newCompletion(model(t).Node)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, script, _ := command(t, "completion", shell)
		if code != exitOK {
			t.Errorf("completion %s: exit code %d", shell, code)
		}
		for _, p := range tree.places {
			if !strings.Contains(script, fmt.Sprintf("%q", p.path)) {
				t.Errorf("%s does not know %q", shell, p.path)
			}
			for _, f := range p.flags {
				if !strings.Contains(script, f.Name) {
					t.Errorf("%s does not know --%s of %q", shell, f.Name, p.path)
				}
			}
		}
	}
}
