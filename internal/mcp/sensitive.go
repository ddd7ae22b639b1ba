package mcp

import (
	"context"
	"slices"
	"strings"

	"rapport.example/internal/workspace"
)

// hidden stands for what the caller may not see.
const hidden = "[hidden]"

// sensitiveNames are the words that make an attribute sensitive when its name contains one, in any case.
var sensitiveNames = []string{
	"password", "passwd", "secret", "token", "api_key", "apikey", "credit_card", "card_number", "cvv", "iban", "account_number", "ssn", "social_security",
	"passport", "national_id", "tax_id", "birth", "dob", "gender", "religion", "ethnic", "health", "diagnos", "medical", "salary", "income",
}

// seen is an attribute's value as the caller may see it.
func (s *Server) seen(ctx context.Context, name, value string) string {
	if value == "" || slices.Contains(s.scopes(ctx), workspace.ReadSensitive) || !sensitive(name) {
		return clean(value)
	}
	return hidden
}

func sensitive(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(sensitiveNames, func(w string) bool { return strings.Contains(name, w) })
}
