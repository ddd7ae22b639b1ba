-- Timers in one tree by due time: a writer says which one it drops, so there is nothing to look up by person.
CREATE TABLE timers_by_due (
  workspace BIGINT NOT NULL,
  due       BIGINT NOT NULL,
  person    BIGINT NOT NULL,
  kind      BIGINT NOT NULL,
  ref       BIGINT NOT NULL,
  PRIMARY KEY (workspace, due, person, kind, ref)
) WITHOUT ROWID;
INSERT INTO timers_by_due SELECT workspace, due, person, kind, ref FROM timers ORDER BY workspace, due, person, kind, ref;
DROP TABLE timers;
ALTER TABLE timers_by_due RENAME TO timers;
