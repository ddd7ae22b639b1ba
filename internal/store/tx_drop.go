package store

import (
	"rapport.example/internal/engine"
	"rapport.example/internal/person"
)

// Deleting a person walks the chain of rows from its head, for the append-ordered tables have no index by person.
const (
	dropActivities = `DELETE FROM activities WHERE (workspace, seq) IN (
		WITH RECURSIVE k (workspace, seq) AS ({rows}), w (workspace, seq, prev) AS (
			SELECT a.workspace, a.seq, a.prev FROM k CROSS JOIN activities a WHERE a.workspace = k.workspace AND a.seq = k.seq
			UNION ALL
			SELECT a.workspace, a.seq, a.prev FROM w CROSS JOIN activities a
			WHERE w.prev <> 0 AND a.workspace = w.workspace AND a.seq = w.prev AND a.seq < w.seq
		)
		SELECT workspace, seq FROM w)`
	dropEventPieces = `DELETE FROM event_pieces WHERE (workspace, piece) IN (
		WITH RECURSIVE k (workspace, seq) AS ({rows}), w (workspace, seq, prev) AS (
			SELECT a.workspace, a.seq, a.prev FROM k CROSS JOIN activities a WHERE a.workspace = k.workspace AND a.seq = k.seq
			UNION ALL
			SELECT a.workspace, a.seq, a.prev FROM w CROSS JOIN activities a
			WHERE w.prev <> 0 AND a.workspace = w.workspace AND a.seq = w.prev AND a.seq < w.seq
		)
		SELECT workspace, seq / 4096 FROM w)`
	dropDecisions = `DELETE FROM decisions WHERE (workspace, seq) IN (
		WITH RECURSIVE k (workspace, seq) AS ({rows}), w (workspace, seq, prev) AS (
			SELECT d.workspace, d.seq, d.prev FROM k CROSS JOIN decisions d WHERE d.workspace = k.workspace AND d.seq = k.seq
			UNION ALL
			SELECT d.workspace, d.seq, d.prev FROM w CROSS JOIN decisions d
			WHERE w.prev <> 0 AND d.workspace = w.workspace AND d.seq = w.prev AND d.seq < w.seq
		)
		SELECT workspace, seq FROM w)`
	dropArchives = `DELETE FROM archives WHERE (workspace, delivery) IN (
		WITH k (workspace, person) AS ({rows})
		SELECT d.workspace, d.id FROM k CROSS JOIN deliveries d WHERE d.workspace = k.workspace AND d.person = k.person)`
	// A delivery stays for the counts of its campaign, without anything of the person. The reason goes too: mail servers
	// like to repeat the address in it.
	blankDeliveries = `UPDATE deliveries SET person = 0, recipient = '', subject = '', reason = '', data = NULL
		WHERE (workspace, person) IN ({rows})`
)

// dropPeopleBulk deletes people's documents. It comes before dropArchivesBulk, moveBulk and dropBulk: it waits for a mail that is
// just being saved or archived for one of them (insertPersonsMail), and what comes after it then sees that mail.
func dropPeopleBulk(c *engine.Changes) []bulk {
	refs := refSet(col(c.DropPeople, func(d engine.DropPerson) person.Ref { return d.Ref }))
	return []bulk{{`DELETE FROM people WHERE (workspace, person) IN ({rows})`, refs}}
}

// dropArchivesBulk deletes what deleted people's messages said. It comes before deliveries are written, by which they forget whose
// they are, and leaves alone what goes over to somebody else with a merge.
func dropArchivesBulk(c *engine.Changes) []bulk {
	merged := make(map[person.Ref]bool, len(c.Moves))
	for _, m := range c.Moves {
		merged[person.Ref{Workspace: m.Workspace, Ordinal: m.From}] = true
	}
	var gone []person.Ref
	for _, d := range c.DropPeople {
		if !merged[d.Ref] {
			gone = append(gone, d.Ref)
		}
	}
	return []bulk{{dropArchives, refSet(gone)}}
}

// dropBulk deletes everything that is deleted people's but their documents, their archives and their identifiers, which are DropKeys.
func dropBulk(c *engine.Changes) []bulk {
	refs := refSet(col(c.DropPeople, func(d engine.DropPerson) person.Ref { return d.Ref }))
	heads := set{refs[0], col(c.DropPeople, func(d engine.DropPerson) int64 { return d.LastActivity })}
	return []bulk{
		{`DELETE FROM optouts WHERE (workspace, person) IN ({rows})`, refs},
		{dropEventPieces, heads},
		{dropActivities, heads},
		{dropDecisions, set{refs[0], col(c.DropPeople, func(d engine.DropPerson) int64 { return d.LastDecision })}},
		{`DELETE FROM journeys WHERE (workspace, person) IN ({rows})`, refs},
		{`DELETE FROM relationships WHERE (workspace, person) IN ({rows})`, refs},
		{blankDeliveries, refs},
		{`DELETE FROM mailbox WHERE (workspace, person) IN ({rows})`, refs},
	}
}
