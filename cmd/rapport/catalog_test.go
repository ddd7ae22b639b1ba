package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestCatalogWithoutServer: the guide is searched, shown, scored, ranked and explained by the program alone.
func TestCatalogWithoutServer(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"catalog search customer.io":                   {"customer-io", "0.90 AAA", "rapport catalog show customer-io"},
		"catalog search zebra quantum":                 {"no service fits"},
		"catalog show customer-io":                     {"# How to connect Customer.io", "## Quickstart", "### Python", "~~100 requests a second~~", "https://mcp.customer.io/mcp", "## Facts"},
		"catalog show rapport":                         {"our own product", "get_workspace", "| Track | PUT |"},
		"catalog score customer-io":                    {"0.90, AAA", "MCP official"},
		"catalog rank --category marketing-automation": {"MARKETING-AUTOMATION", "customer-io", "our own"},
		"catalog explain customer-io":                  {"## Readiness", "| Idempotent writes | fail |", "KanseiLink published 0.70, A", "the formula gives 0.70, A"},
	} {
		code, out, errs := command(t, strings.Fields(line)...)
		if code != exitOK || errs != "" {
			t.Errorf("%s: exit code %d, %s", line, code, errs)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s lacks %q:\n%.600s", line, w, out)
			}
		}
		if strings.Contains(line, "zebra") {
			continue
		}
		code, out, _ = command(t, append(strings.Fields(line), "--json")...)
		var v map[string]any
		if err := json.Unmarshal([]byte(out), &v); code != exitOK || err != nil {
			t.Errorf("%s --json: exit code %d, %v", line, code, err)
		}
	}
	for line, want := range map[string]string{
		"catalog show customerio":                        "did you mean customer-io?",
		"catalog explain nothing-like-it":                "there is no service",
		"catalog rank --category tea":                    "there is no category",
		"catalog search mail --limit 101":                "limit: must be 1 to 100",
		"catalog search mail --category tea":             "category: must be one of",
		"catalog show rapport --from http://127.0.0.1:1": "cannot be reached",
	} {
		if code, _, errs := command(t, strings.Fields(line)...); code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %q, want %q", line, code, errs, want)
		}
	}
}

// TestCatalogProbe asks the host that it is told, and no other.
func TestCatalogProbe(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	code, out, errs := command(t, "catalog", "probe", url, "--service", "rapport")
	if code != exitOK || !strings.Contains(out, "llms.txt is served.") || !strings.Contains(out, "readiness of rapport: ") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if code, _, errs := command(t, "catalog", "probe", "http://example.com"); code != exitUsage || !strings.Contains(errs, "must be https") {
		t.Errorf("plain HTTP to another machine: exit code %d, %s", code, errs)
	}
	code, out, _ = command(t, "catalog", "show", "rapport", "--from", url)
	if code != exitOK || !strings.Contains(out, "| E2 |") || !strings.Contains(out, url+"/mcp") {
		t.Errorf("the entry of the running server: exit code %d\n%.400s", code, out)
	}
}
