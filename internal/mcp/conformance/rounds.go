//go:build conformance

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// What a tool can ask in an answer that wants more input.
var (
	askName   = ask("What is your name?", "name", "string")
	askOK     = ask("Is this right?", "ok", "boolean")
	askColour = ask("Which colour do you like?", "color", "string")
	askRoots  = &sdk.ListRootsParams{} //nolint:staticcheck // the suite asks for it
)

func ask(message, field, kind string) *sdk.ElicitParams {
	return &sdk.ElicitParams{Message: message, RequestedSchema: object{"type": "object", "properties": object{field: object{"type": kind}}, "required": []string{field}}}
}

func askModel(text string) *sdk.CreateMessageParams { //nolint:staticcheck // the suite asks for it
	return &sdk.CreateMessageParams{MaxTokens: 100, Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: text}}}} //nolint:staticcheck // as above
}

func more(state string, r sdk.InputRequestMap) *sdk.CallToolResult {
	return &sdk.CallToolResult{InputRequests: r, RequestState: state}
}

// sealed is a state that only this server can have written.
func sealed(state string) string {
	h := hmac.New(sha256.New, []byte("conformance"))
	h.Write([]byte(state))
	return state + "." + hex.EncodeToString(h.Sum(nil))
}

func opened(got string) (state string, err error) {
	state, _, _ = strings.Cut(got, ".")
	if got != "" && !hmac.Equal([]byte(sealed(state)), []byte(got)) {
		return "", &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "the request state is not one that this server gave out"}
	}
	return state, nil
}

// given is a field of an answer that the user accepted.
func given(in sdk.InputResponseMap, key, field string) any {
	if e, ok := in[key].(*sdk.ElicitResult); ok && e != nil && e.Action == "accept" {
		return e.Content[field]
	}
	return nil
}

func name(in sdk.InputResponseMap) string {
	s, _ := given(in, "user_name", "name").(string)
	return s
}

// sampled is what the client's model said.
func sampled(in sdk.InputResponseMap, key string) (string, bool) {
	res, ok := in[key].(*sdk.CreateMessageWithToolsResult) //nolint:staticcheck // the suite asks for it
	if !ok || res == nil {
		return "", false
	}
	for _, c := range res.Content {
		if t, ok := c.(*sdk.TextContent); ok {
			return t.Text, true
		}
	}
	return "", true
}

func roots(in sdk.InputResponseMap) (int, bool) {
	res, ok := in["client_roots"].(*sdk.ListRootsResult) //nolint:staticcheck // the suite asks for it
	if !ok || res == nil {
		return 0, false
	}
	return len(res.Roots), true
}

// rounds are the tools whose first answer is a question.
func rounds(m *sdk.Server) {
	round := func(what, description string, f func(p *sdk.CallToolParamsRaw, state string, c *sdk.ClientCapabilities) *sdk.CallToolResult) {
		tool(m, "test_input_required_result_"+what, description, func(_ context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			state, err := opened(req.Params.RequestState)
			if err != nil {
				return nil, err
			}
			return f(req.Params, state, req.ClientCapabilities()), nil
		})
	}
	type (
		params = *sdk.CallToolParamsRaw
		caps   = *sdk.ClientCapabilities
		result = *sdk.CallToolResult
	)
	round("elicitation", "Asks for a name", func(p params, _ string, _ caps) result {
		if n := name(p.InputResponses); n != "" {
			return said("Hello, " + n + "!")
		}
		return more("", sdk.InputRequestMap{"user_name": askName})
	})
	round("sampling", "Asks the model", func(p params, _ string, _ caps) result {
		if text, ok := sampled(p.InputResponses, "capital_question"); ok {
			return said("The model says: " + text)
		}
		return more("", sdk.InputRequestMap{"capital_question": askModel("What is the capital of France?")})
	})
	round("list_roots", "Asks for roots", func(p params, _ string, _ caps) result {
		if n, ok := roots(p.InputResponses); ok {
			return said(fmt.Sprintf("The client has %d roots", n))
		}
		return more("", sdk.InputRequestMap{"client_roots": askRoots})
	})
	confirm := func(p params, state string, _ caps) result {
		if state != "" && given(p.InputResponses, "confirm", "ok") != nil {
			return said("state-ok: confirmed")
		}
		return more(sealed("confirm"), sdk.InputRequestMap{"confirm": askOK})
	}
	round("request_state", "Keeps a state with the client", confirm)
	round("tampered_state", "Refuses a state that was changed", confirm)
	round("multiple_inputs", "Asks three things at once", func(p params, _ string, _ caps) result {
		n, greeting := name(p.InputResponses), ""
		greeting, greeted := sampled(p.InputResponses, "greeting")
		count, rooted := roots(p.InputResponses)
		if n != "" && greeted && rooted {
			return said(fmt.Sprintf("%s %s, with %d roots", greeting, n, count))
		}
		return more(sealed("inputs"), sdk.InputRequestMap{"user_name": askName, "greeting": askModel("Greet somebody"), "client_roots": askRoots})
	})
	round("multi_round", "Asks twice", func(p params, state string, _ caps) result {
		switch state {
		case "":
			return more(sealed("one"), sdk.InputRequestMap{"step1": askName})
		case "one":
			return more(sealed(fmt.Sprintf("two %v", given(p.InputResponses, "step1", "name"))), sdk.InputRequestMap{"step2": askColour})
		}
		return said(fmt.Sprintf("%s likes %v", strings.TrimPrefix(state, "two "), given(p.InputResponses, "step2", "color")))
	})
	round("capabilities", "Asks only what the client can answer", func(p params, _ string, c caps) result {
		if len(p.InputResponses) > 0 {
			return said("answered")
		}
		r := sdk.InputRequestMap{}
		if c != nil && c.Elicitation != nil {
			r["user_name"] = askName
		}
		if c != nil && c.Sampling != nil {
			r["greeting"] = askModel("Greet somebody")
		}
		if c != nil && c.RootsV2 != nil {
			r["client_roots"] = askRoots
		}
		if len(r) == 0 {
			return said("The client can answer nothing.")
		}
		return more("", r)
	})
}
