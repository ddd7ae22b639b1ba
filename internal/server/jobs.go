package server

import (
	"rapport.example/internal/export"
	"rapport.example/internal/id"
	"rapport.example/internal/imports"
	"rapport.example/internal/job"
)

// runner builds what works in the background: each kind of job has its line.
func (s *server) runner() *job.Runner {
	reads := imports.Job(imports.Options{
		Log: s.writes, Requests: s.db, Fetch: imports.NewFetcher(s.o.ImportHosts).Get, Route: s.partition,
		Caught: s.fresh.Caught, Applied: s.fresh.Applied, Now: s.now,
	})
	return job.NewRunner(job.Options{Store: s.db, Owner: id.New(s.now()), Now: s.now, Logger: s.log, Kinds: []job.Kind{export.Job(s.db), reads}})
}
