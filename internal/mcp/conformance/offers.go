//go:build conformance

package main

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

func prompted(c ...sdk.Content) *sdk.GetPromptResult {
	var out sdk.GetPromptResult
	for _, x := range c {
		out.Messages = append(out.Messages, &sdk.PromptMessage{Role: "user", Content: x})
	}
	return &out
}

func prompts(m *sdk.Server) {
	add := func(name string, f func(p *sdk.GetPromptParams) *sdk.GetPromptResult, arguments ...string) {
		p := &sdk.Prompt{Name: name, Description: "A prompt of the suite"}
		for _, a := range arguments {
			p.Arguments = append(p.Arguments, &sdk.PromptArgument{Name: a, Description: "An argument", Required: true})
		}
		m.AddPrompt(p, func(_ context.Context, req *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
			return f(req.Params), nil
		})
	}
	add("test_simple_prompt", func(*sdk.GetPromptParams) *sdk.GetPromptResult {
		return prompted(&sdk.TextContent{Text: "This is a simple prompt for testing."})
	})
	add("test_prompt_with_arguments", func(p *sdk.GetPromptParams) *sdk.GetPromptResult {
		return prompted(&sdk.TextContent{Text: fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", p.Arguments["arg1"], p.Arguments["arg2"])})
	}, "arg1", "arg2")
	add("test_prompt_with_embedded_resource", func(p *sdk.GetPromptParams) *sdk.GetPromptResult {
		return prompted(embedded(p.Arguments["resourceUri"]), &sdk.TextContent{Text: "Read the resource above."})
	}, "resourceUri")
	add("test_prompt_with_image", func(*sdk.GetPromptParams) *sdk.GetPromptResult {
		return prompted(&sdk.ImageContent{Data: pixel, MIMEType: "image/png"}, &sdk.TextContent{Text: "Look at the image above."})
	})
	add("test_input_required_result_prompt", func(p *sdk.GetPromptParams) *sdk.GetPromptResult {
		if c := given(p.InputResponses, "user_context", "context"); c != nil {
			return prompted(&sdk.TextContent{Text: fmt.Sprintf("Context: %v", c)})
		}
		return &sdk.GetPromptResult{InputRequests: sdk.InputRequestMap{"user_context": ask("What is it about?", "context", "string")}}
	})
}

func resources(m *sdk.Server) {
	read := func(kind, text string, blob []byte) sdk.ResourceHandler {
		return func(_ context.Context, req *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
			return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: req.Params.URI, MIMEType: kind, Text: text, Blob: blob}}}, nil
		}
	}
	m.AddResource(&sdk.Resource{Name: "static-text", URI: "test://static-text", MIMEType: "text/plain"}, read("text/plain", "This is the content of the static text resource.", nil))
	m.AddResource(&sdk.Resource{Name: "static-binary", URI: "test://static-binary", MIMEType: "image/png"}, read("image/png", "", pixel))
	m.AddResource(&sdk.Resource{Name: "watched-resource", URI: "test://watched-resource", MIMEType: "text/plain"}, read("text/plain", "This resource is watched.", nil))
	m.AddResourceTemplate(&sdk.ResourceTemplate{Name: "template", URITemplate: "test://template/{id}/data", MIMEType: "application/json"},
		func(ctx context.Context, req *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
			id := strings.TrimSuffix(strings.TrimPrefix(req.Params.URI, "test://template/"), "/data")
			return read("application/json", fmt.Sprintf(`{"id": %q, "templateTest": true, "data": "Data for ID: %s"}`, id, id), nil)(ctx, req)
		})
}
