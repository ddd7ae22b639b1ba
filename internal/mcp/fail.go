package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolError is what a tool answers when it cannot do what was asked.
type toolError struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Retryable  bool   `json:"retryable"`
	RetryAfter int    `json:"retry_after_s,omitempty"`
	Field      string `json:"field,omitempty"`
	Status     int    `json:"upstream_status,omitempty"`
	RequestID  string `json:"request_id,omitempty"`
	Hint       string `json:"hint,omitempty"`
	rule       string // what refused it, for the record; "" = Field
}

// Error is the code and the sentence.
func (e *toolError) Error() string { return e.Code + ": " + e.Message }

func invalid(field, format string, args ...any) error {
	return &toolError{Code: "invalid_input", Field: field, Message: field + " " + fmt.Sprintf(format, args...)}
}

// hinted adds what to do about an answer of a status.
func hinted(err error, status int, hint string) error {
	var a *APIError
	if !errors.As(err, &a) || a.Status != status {
		return err
	}
	var t *toolError
	if errors.As(told(err), &t) {
		t.Hint = hint
		return t
	}
	return err
}

const wrongType = "a 404 often means the wrong id_type"

// hints of what to do about an answer, by its status.
var whatToDo = map[int]string{
	0:                                "check that the server runs and that its address is right",
	http.StatusUnauthorized:          "check the key, and on the hosted service the region",
	http.StatusForbidden:             "the key, its scopes or the plan do not allow this; another try changes nothing",
	http.StatusConflict:              "something uses it: get_segment with include used_by shows what",
	http.StatusRequestEntityTooLarge: "send less in one call",
	http.StatusNotImplemented:        "this connection does not have it",
}

// told turns an error into one that a model can act on.
func told(err error) error {
	var t *toolError
	var a *APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &t):
		return t
	case errors.As(err, &a):
		t = &toolError{Code: code(a.Status), Message: said(a), Status: a.Status, RetryAfter: a.RetryAfter, RequestID: clean(a.RequestID)}
		t.Retryable = a.Status == http.StatusTooManyRequests || a.Status >= 500 && a.Status != http.StatusNotImplemented || a.Status == 0
		t.Hint = whatToDo[a.Status]
		return t
	case errors.Is(err, context.Canceled):
		return &toolError{Code: "upstream_timeout", Message: "the call was cancelled", Retryable: true}
	case errors.Is(err, context.DeadlineExceeded):
		return &toolError{Code: "upstream_timeout", Message: "the call took too long", Retryable: true}
	}
	return &toolError{Code: "upstream_error", Message: "the tool failed: " + clean(err.Error())}
}

// mostSaid is how much of a back end's own words an error repeats, in bytes.
const mostSaid = 300

// said is what went wrong. The words of a back end are in quotation marks, as JSON has them: they can repeat what others wrote.
func said(a *APIError) string {
	text := cutTo(clean(a.Message), mostSaid)
	if !a.Foreign {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return "the back end refused it"
	}
	return "the back end says " + string(quoted)
}

// explain is a middleware that gives a failed call its text, a first line CODE: sentence and then what to do, and the
// same as structured content.
func explain(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		res, err := next(ctx, method, req)
		call, ok := res.(*sdk.CallToolResult)
		if err != nil || !ok || call == nil {
			return res, err
		}
		if !call.IsError {
			return res, nil
		}
		var t *toolError
		if !errors.As(call.GetError(), &t) {
			return res, nil
		}
		text := t.Error()
		if t.Hint != "" {
			text += "\n" + t.Hint
		}
		if t.RetryAfter > 0 {
			text += fmt.Sprintf("\nTry again in %d s.", t.RetryAfter)
		}
		call.Content, call.StructuredContent = []sdk.Content{&sdk.TextContent{Text: text}}, t
		return call, nil
	}
}

// Why arguments do not fit a schema, in sentences that quote what came.
var (
	unfitField   = regexp.MustCompile(`/properties/([a-z_]+)`)
	unfitUnknown = regexp.MustCompile(`unexpected additional properties(?: \["([a-z_]{1,40})")?`)
	unfitMissing = regexp.MustCompile(`required: missing properties: \["([a-z_]+)"`)
	unfitEnum    = regexp.MustCompile(`enum: (?s:.*) does not equal any of: \[([a-z_ ]+)\]`)
	unfitType    = regexp.MustCompile(`type: (?s:.*), want "([a-z]+)"`)
)

// unfit is the refusal of arguments that do not fit a tool's schema, in words that hold nothing of the arguments but the name of a field.
func unfit(err error) *toolError {
	t := &toolError{Code: "invalid_input", Hint: "the tool's input schema says what it takes", rule: "schema"}
	why := err.Error()
	field := ""
	if m := unfitField.FindStringSubmatch(why); m != nil {
		field = m[1]
	}
	if m := unfitMissing.FindStringSubmatch(why); m != nil {
		field = m[1]
	}
	t.Field = field
	if field == "" {
		field = "the arguments"
	}
	switch {
	case unfitUnknown.MatchString(why):
		t.Message = field + " must not hold fields that the tool does not know"
		if name := unfitUnknown.FindStringSubmatch(why)[1]; name != "" {
			t.Message = field + " must not hold the field " + name + ", which the tool does not know"
		}
	case unfitMissing.MatchString(why):
		t.Message = field + " must be given"
	case unfitEnum.MatchString(why):
		t.Message = field + " must be one of " + strings.ReplaceAll(unfitEnum.FindStringSubmatch(why)[1], " ", ", ")
	case unfitType.MatchString(why):
		t.Message = field + " must be of type " + unfitType.FindStringSubmatch(why)[1]
	default:
		t.Message = field + " must fit the tool's input schema"
	}
	return t
}

func code(status int) string {
	switch status {
	case 0:
		return "upstream_timeout"
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden_scope"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusConflict:
		return "conflict"
	case http.StatusRequestEntityTooLarge:
		return "payload_too_large"
	case http.StatusTooManyRequests:
		return "rate_limited"
	case http.StatusNotImplemented:
		return "unsupported_on_connection"
	}
	if status >= 500 {
		return "upstream_error"
	}
	return "invalid_input"
}
