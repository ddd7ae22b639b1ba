package server

import (
	"rapport.example/internal/export"
	"rapport.example/internal/id"
	"rapport.example/internal/job"
)

// runner builds what works in the background: each kind of job has its line.
func (s *server) runner() *job.Runner {
	return job.NewRunner(job.Options{Store: s.db, Owner: id.New(s.now()), Now: s.now, Logger: s.log, Kinds: []job.Kind{export.Job(s.db)}})
}
