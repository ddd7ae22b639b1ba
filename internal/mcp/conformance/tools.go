//go:build conformance

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

// run is what a tool without arguments does.
type do func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error)

func tool(m *sdk.Server, name, description string, f do) {
	sdk.AddTool(m, &sdk.Tool{Name: name, Description: description}, func(ctx context.Context, req *sdk.CallToolRequest, _ none) (*sdk.CallToolResult, any, error) {
		res, err := f(ctx, req)
		return res, nil, err
	})
}

func said(text string) *sdk.CallToolResult { return contents(&sdk.TextContent{Text: text}) }

func contents(c ...sdk.Content) *sdk.CallToolResult { return &sdk.CallToolResult{Content: c} }

// One red pixel, and silence.
var (
	pixel = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
		"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x05\x02\x02\x5f\xc8\xf1\xd2\x00\x00\x00\x00IEND\xaeB`\x82")
	silence = []byte("RIFF&\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00\x80>\x00\x00\x02\x00\x10\x00data\x02\x00\x00\x00\x00\x00")
)

func embedded(uri string) *sdk.EmbeddedResource {
	return &sdk.EmbeddedResource{Resource: &sdk.ResourceContents{URI: uri, MIMEType: "text/plain", Text: "An embedded resource"}}
}

// tools are those that answer by themselves.
func tools(m *sdk.Server) {
	image := &sdk.ImageContent{Data: pixel, MIMEType: "image/png"}
	for name, c := range map[string][]sdk.Content{
		"test_simple_text":            {&sdk.TextContent{Text: "This is a simple text response for testing."}},
		"test_image_content":          {image},
		"test_audio_content":          {&sdk.AudioContent{Data: silence, MIMEType: "audio/wav"}},
		"test_embedded_resource":      {embedded("test://embedded-resource")},
		"test_multiple_content_types": {&sdk.TextContent{Text: "Text beside others"}, image, embedded("test://mixed-content-resource")},
		"test_streaming_elicitation":  {&sdk.TextContent{Text: "The stream holds results and notifications only."}},
	} {
		tool(m, name, "Answers content of one kind or several", func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) { return contents(c...), nil })
	}
	tool(m, "test_error_handling", "Fails", func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return nil, errors.New("this tool fails on purpose")
	})
	tool(m, "test_tool_with_logging", "Logs while it runs", logs(3))
	tool(m, "test_logging_tool", "Logs once", logs(1))
	tool(m, "test_tool_with_progress", "Reports progress", func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		token := req.Params.GetProgressToken()
		for _, p := range []float64{0, 50, 100} {
			if err := req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: p, Total: 100}); err != nil {
				return nil, err
			}
		}
		return said(fmt.Sprint(token)), nil
	})
	tool(m, "test_missing_capability", "Needs a client that samples", func(_ context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		if c := req.ClientCapabilities(); c != nil && c.Sampling != nil {
			return said("The client samples."), nil
		}
		data, err := json.Marshal(sdk.MissingRequiredClientCapabilityData{RequiredCapabilities: &sdk.ClientCapabilities{Sampling: &sdk.SamplingCapabilities{}}})
		if err != nil {
			return nil, err
		}
		return nil, &jsonrpc.Error{Code: sdk.CodeMissingRequiredClientCapabilities, Message: "the client does not sample", Data: data}
	})
	tool(m, "test_trigger_tool_change", "Changes the list of tools", func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		tool(m, "transient", "Comes with a change", func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) { return said("here"), nil })
		return said("changed"), nil
	})
	tool(m, "test_trigger_prompt_change", "Changes the list of prompts", func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		m.AddPrompt(&sdk.Prompt{Name: "transient", Description: "Comes with a change"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
			return prompted(&sdk.TextContent{Text: "here"}), nil
		})
		return said("changed"), nil
	})
	schemas(m)
}

func logs(n int) do {
	return func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		for i := range n {
			//nolint:staticcheck // the suite of 2025-11-25 asks for what later revisions deprecate
			if err := req.Session.Log(ctx, &sdk.LoggingMessageParams{Level: "info", Data: fmt.Sprintf("step %d", i+1)}); err != nil {
				return nil, err
			}
		}
		return said("logged"), nil
	}
}

// schemas are tools whose schemas must come through as they are.
func schemas(m *sdk.Server) {
	raw := func(name, schema string) {
		sdk.AddTool(m, &sdk.Tool{Name: name, Description: "Has a schema of its own", InputSchema: json.RawMessage(schema)},
			func(_ context.Context, _ *sdk.CallToolRequest, in map[string]any) (*sdk.CallToolResult, any, error) {
				return said(fmt.Sprint(in)), nil, nil
			})
	}
	raw("json_schema_2020_12_tool", `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
		"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
		"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},
			"phone":{"type":"string"},"email":{"type":"string"}},
		"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
		"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},
		"additionalProperties":false}`)
	raw("test_x_mcp_header", `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"level":{"type":"integer"}}}`)
}
