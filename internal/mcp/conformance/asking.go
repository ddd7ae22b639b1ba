//go:build conformance

package main

import (
	"context"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

type (
	object = map[string]any
	asked  struct {
		Prompt  string `json:"prompt,omitempty"`
		Message string `json:"message,omitempty"`
	}
)

// asking are the tools that ask a client of the era with sessions.
func asking(m *sdk.Server) {
	sdk.AddTool(m, &sdk.Tool{Name: "test_sampling", Description: "Asks the client's model"},
		func(ctx context.Context, req *sdk.CallToolRequest, in asked) (*sdk.CallToolResult, any, error) {
			//nolint:staticcheck // the suite of 2025-11-25 asks for what later revisions deprecate
			res, err := req.Session.CreateMessage(ctx, &sdk.CreateMessageParams{
				MaxTokens: 100, Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: in.Prompt}}},
			})
			if err != nil {
				return nil, nil, err
			}
			text, _ := res.Content.(*sdk.TextContent)
			if text == nil {
				text = &sdk.TextContent{Text: "no text"}
			}
			return said("LLM response: " + text.Text), nil, nil
		})
	sdk.AddTool(m, &sdk.Tool{Name: "test_elicitation", Description: "Asks the user"},
		func(ctx context.Context, req *sdk.CallToolRequest, in asked) (*sdk.CallToolResult, any, error) {
			res, err := elicit(ctx, req, in.Message, object{"username": object{"type": "string", "description": "Your name"}}, "username")
			return res, nil, err
		})
	tool(m, "test_elicitation_sep1034_defaults", "Asks with defaults", func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return elicit(ctx, req, "Is this right?", object{
			"name":     object{"type": "string", "default": "John Doe"},
			"age":      object{"type": "integer", "default": 30},
			"score":    object{"type": "number", "default": 95.5},
			"status":   object{"type": "string", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
			"verified": object{"type": "boolean", "default": true},
		})
	})
	titled := func(prefix string) (out []object) {
		for i, title := range []string{"First Option", "Second Option", "Third Option"} {
			out = append(out, object{"const": fmt.Sprint(prefix, i+1), "title": title})
		}
		return out
	}
	options := []string{"option1", "option2", "option3"}
	tool(m, "test_elicitation_sep1330_enums", "Asks for choices", func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return elicit(ctx, req, "Which ones?", object{
			"untitledSingle": object{"type": "string", "enum": options},
			"titledSingle":   object{"type": "string", "oneOf": titled("value")},
			"legacyEnum":     object{"type": "string", "enum": []string{"opt1", "opt2", "opt3"}, "enumNames": []string{"Option One", "Option Two", "Option Three"}},
			"untitledMulti":  object{"type": "array", "items": object{"type": "string", "enum": options}},
			"titledMulti":    object{"type": "array", "items": object{"anyOf": titled("value")}},
		})
	})
}

func elicit(ctx context.Context, req *sdk.CallToolRequest, message string, properties object, required ...string) (*sdk.CallToolResult, error) {
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	res, err := req.Session.Elicit(ctx, &sdk.ElicitParams{Message: message, RequestedSchema: schema})
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("The user's answer: action=%s, content=%v", res.Action, res.Content)), nil
}
