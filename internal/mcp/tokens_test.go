package mcp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/tiktoken-go/tokenizer"
)

// counter counts the tokens of o200k_base.
func counter(t *testing.T) func(v any) int {
	t.Helper()
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	return func(v any) int {
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		n, err := codec.Count(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// TestTokens holds what the tools cost a model before it does anything, and docs/agents-tools.md, which shows it.
func TestTokens(t *testing.T) {
	t.Parallel()
	s, count := registry(t), counter(t)
	var lists strings.Builder
	for _, budget := range []struct {
		name          string
		sel           Selection
		tools, tokens int
		bare          bool // without output schemas
	}{
		{"default", Selection{}, 24, 5_500, false},
		{"default, without output schemas", Selection{}, 24, 4_000, true},
		{"read-only", Selection{ReadOnly: true}, 24, 3_000, false},
		{"everything", everything, 60, 9_500, false},
	} {
		l := listed(t, s, budget.sel)
		if budget.bare {
			for _, tool := range l.Tools {
				tool.OutputSchema = nil
			}
		}
		n := count(map[string]any{"tools": l.Tools})
		if n > budget.tokens || len(l.Tools) > budget.tools {
			t.Errorf("%s: %d tools with %d tokens, want at most %d and %d", budget.name, len(l.Tools), n, budget.tools, budget.tokens)
		}
		fmt.Fprintf(&lists, "| %s | %d | %d | %d |\n", budget.name, len(l.Tools), n, budget.tokens)
	}
	n := count(instructions)
	if n > 600 {
		t.Errorf("the instructions have %d tokens, want at most 600", n)
	}
	fmt.Fprintf(&lists, "| instructions | | %d | 600 |\n", n)

	var rows strings.Builder
	all, set := listed(t, s, everything).Tools, ""
	for i := range s.tools {
		def := &s.tools[i]
		tool := all[slices.IndexFunc(all, func(x *sdk.Tool) bool { return x.Name == def.name })]
		n := count(tool)
		if n > 400 {
			t.Errorf("%s has %d tokens, want at most 400", def.name, n)
		}
		shown := ""
		if def.set != set {
			if shown, set = "`"+def.set+"`", def.set; byDefault(set) {
				shown += " *"
			}
		}
		scope := def.scope
		if def.self {
			scope += ", not hosted"
		}
		fmt.Fprintf(&rows, "| %s | `%s` | %s | %s | %d |\n", shown, def.name, scope, hintsOf(tool.Annotations), n)
	}
	golden(t, "../../docs/agents-tools.md", fmt.Appendf(nil, toolsPage, lists.String(), rows.String()))
}

// toolsPage is the page about what the tools cost; its tables are what was counted.
const toolsPage = `# What the tools cost

An agent's program reads the list of tools before anything else, and pays for it in every conversation. So the lists have budgets, in
tokens of o200k_base over the compact JSON of tools/list with all scopes; the tests count them, and write this page
(` + "`go test ./internal/mcp -run TestTokens -update`" + `).

| list | tools | tokens | at most |
|---|---|---|---|
%s
Each tool has at most 400. The toolsets marked * are offered by default.

| toolset | tool | scope | hints | tokens |
|---|---|---|---|---|
%s
reads: changes nothing. overwrites: replaces or removes something. repeatable: the same call again changes nothing more. reaches people: it
can start campaigns, which send messages. Hints tell a program when to ask its user; what a key may do is decided by its scopes.
`
