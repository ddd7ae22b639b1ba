package mcp

import (
	"context"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

type progressKey struct{}

// withProgress lets the handler of a call tell how far it is, if the caller asked for that.
func withProgress(ctx context.Context, req *sdk.CallToolRequest) context.Context {
	token := req.Params.GetProgressToken()
	if token == nil || req.Session == nil {
		return ctx
	}
	tell := func(done, total float64, message string) {
		//nolint:errcheck // a caller who does not hear how far it is gets the answer all the same
		_ = req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: done, Total: total, Message: message})
	}
	return context.WithValue(ctx, progressKey{}, tell)
}

// progress tells how far a call is. done grows from one time to the next; total 0 is unknown. The message is ours, without data.
func progress(ctx context.Context, done, total float64, message string) {
	if tell, ok := ctx.Value(progressKey{}).(func(done, total float64, message string)); ok {
		tell(done, total, message)
	}
}
