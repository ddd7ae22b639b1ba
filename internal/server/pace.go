package server

import "time"

const (
	paceFree  = 1500                 // ops may wait to be applied without holding anybody back: a transaction of the engine and half of the next
	pacePerOp = 6 * time.Microsecond // that each one beyond holds the next frame back
	paceMost  = 100 * time.Millisecond
)

// hold is how long the next frame of a partition is held back now: the further the engine is behind, the longer, and all who wait for it
// wait with it. Without it acknowledgements outrun the engine, and under a lasting overload what was accepted is applied later
// and later. Writes are never turned away for it: with the database down each waits a tenth of a second at most. A node that does not
// own the partition does not know and holds nothing back.
func (s *server) hold(partition int32) time.Duration {
	if _, owned := s.engine.Applied(partition); !owned {
		return 0
	}
	behind := s.writes.Ops(partition) - s.engine.Ops(partition) - paceFree
	return min(time.Duration(max(behind, 0))*pacePerOp, paceMost)
}
