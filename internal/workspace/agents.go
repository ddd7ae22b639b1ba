package workspace

import (
	"strings"

	"rapport.example/internal/fault"
)

// The beginnings of agents' secrets: of keys that an operator made, and of access tokens of OAuth clients.
const (
	AgentPrefix = "agk_"
	TokenPrefix = "ago_"
)

// AgentSecret tells by its beginning whether a secret is an agent's.
func AgentSecret(secret string) bool {
	return strings.HasPrefix(secret, AgentPrefix) || strings.HasPrefix(secret, TokenPrefix)
}

// AgentPolicy is what all agents of a workspace may do, whatever their keys. It is looked at on every call that writes.
type AgentPolicy struct {
	Stopped bool `json:"stopped"` // agents read, and write nothing
	Live    bool `json:"live"`    // keys with the scope write:live may use it
}

// Check refuses a scope that the policy does not allow, and says who can change that.
func (p AgentPolicy) Check(scope string) error {
	switch {
	case scope == Read || scope == ReadSensitive || scope == Audit:
		return nil
	case p.Stopped:
		return fault.New(fault.Forbidden, "the agents of this workspace are stopped: an operator lets them go on with rapport agents start")
	case scope == WriteLive && !p.Live:
		return fault.New(fault.Forbidden, "the agents of this workspace may not act on live data: an operator allows it with rapport agents live on")
	}
	return nil
}
