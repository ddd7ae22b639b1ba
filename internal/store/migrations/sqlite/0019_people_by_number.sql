-- A person's row is found by one number, workspace * 2^32 + person, where documents are written: the tree of (workspace, person) is left alone then.
CREATE TABLE people_by_number (
  id        INTEGER NOT NULL PRIMARY KEY,
  workspace BIGINT  NOT NULL,
  person    BIGINT  NOT NULL,
  doc       BLOB    NOT NULL,
  UNIQUE (workspace, person)
);
INSERT INTO people_by_number SELECT (workspace << 32) | person, workspace, person, doc FROM people ORDER BY workspace, person;
DROP TABLE people;
ALTER TABLE people_by_number RENAME TO people;
