-- Timers by due time alone: a writer says which one it drops, so there is nothing to look up by person.
ALTER TABLE timers DROP CONSTRAINT timers_pkey;
DROP INDEX timers_due;
ALTER TABLE timers ADD PRIMARY KEY (workspace, due, person, kind, ref);
