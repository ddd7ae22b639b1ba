package admin

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
)

// UnmailableAnswer is what keeps an address from being mailed; addresses themselves are not kept.
type UnmailableAnswer struct {
	Entries []UnmailableEntry `json:"entries"`
}

// UnmailableEntry is one reason.
type UnmailableEntry struct {
	Category      string `json:"category"`                // bounces, spam or manual
	Domain        string `json:"domain,omitempty"`        // of the sender; left out = all
	AllWorkspaces bool   `json:"all_workspaces,omitzero"` // of this workspace alone where left out
	Created       int64  `json:"created"`                 // Unix seconds
}

// mailable is the address in the path.
func mailable(c *api.Call) (string, error) {
	a := c.Param("address")
	if !person.LooksLikeEmail(a) || len(a) > person.MaxID {
		return "", fault.Field("address", "must be an email address")
	}
	return a, nil
}

func (s *Surface) unmailable(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	a, err := mailable(c)
	if err != nil {
		return err
	}
	list, err := s.o.Store.Unmailable(c.R.Context(), w.ID, a)
	if err != nil {
		return err
	}
	out := UnmailableAnswer{Entries: []UnmailableEntry{}}
	for _, u := range list {
		out.Entries = append(out.Entries, UnmailableEntry{u.Category, u.Domain, u.Workspace == 0, u.Created / 1000})
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) addUnmailable(c *api.Call) error {
	a, err := mailable(c)
	if err != nil {
		return err
	}
	if err := s.o.Store.AddUnmailable(c.R.Context(), a); err != nil {
		return err
	}
	return s.unmailable(c)
}

func (s *Surface) removeUnmailable(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	a, err := mailable(c)
	if err != nil {
		return err
	}
	n, err := s.o.Store.RemoveUnmailable(c.R.Context(), w.ID, a)
	if err == nil && n == 0 {
		err = fault.New(fault.NotFound, "nothing keeps this address from being mailed")
	}
	if err != nil {
		return err
	}
	return c.NoContent()
}
