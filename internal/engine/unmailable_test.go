package engine_test

import (
	"testing"

	"rapport.example/internal/delivery"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestUnmailableByReport remembers the address whether the report or the outcome comes first, also within one frame.
func TestUnmailableByReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		want string
		ops  func(m *mail, j delivery.Job) []ingest.Op
	}{
		{"after", "bounces", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.outcome(j, delivery.Sent, ""), m.report("bounced", 0, "x")}
		}},
		{"before", "bounces", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("bounced", 0, "x"), m.outcome(j, delivery.Sent, "")}
		}},
		{"spam before", "spam", func(m *mail, j delivery.Job) []ingest.Op {
			return []ingest.Op{m.report("spammed", 0, "x"), m.outcome(j, delivery.Sent, "")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := newWorld(t, db)
				m := newMail(w, "ada")
				j := m.claimed()
				w.do(c.ops(m, j)...)
				list, err := db.Unmailable(t.Context(), w.ws, "A@example.com")
				if err != nil || len(list) != 1 || list[0].Category != c.want || list[0].Domain != "" {
					t.Errorf("%+v, %v, want one entry of %s", list, err, c.want)
				}
			})
		})
	}
}
