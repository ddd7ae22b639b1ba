package workspace

import (
	"slices"
	"strings"
)

// Hidden stands for a value that an agent without ReadSensitive does not see.
const Hidden = "[hidden]"

// sensitiveNames are the words that make an attribute sensitive when its name contains one, in any case.
var sensitiveNames = []string{
	"password", "passwd", "secret", "token", "api_key", "apikey", "credit_card", "card_number", "cvv", "iban", "account_number", "ssn", "social_security",
	"passport", "national_id", "tax_id", "birth", "dob", "gender", "religion", "ethnic", "health", "diagnos", "medical", "salary", "income",
}

// Sensitive tells whether an attribute's name says that it is. Others are sensitive where the data index of a workspace says so.
func Sensitive(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(sensitiveNames, func(w string) bool { return strings.Contains(name, w) })
}
