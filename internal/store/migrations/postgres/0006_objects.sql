CREATE TABLE objects (
  workspace  BIGINT NOT NULL,
  object     BIGINT NOT NULL,   -- dense number, never given twice
  type       BIGINT NOT NULL,
  id         TEXT COLLATE "C" NOT NULL,   -- the caller's
  cio        TEXT COLLATE "C" NOT NULL,   -- canonical id
  created    BIGINT NOT NULL,
  updated    BIGINT NOT NULL,
  attributes BYTEA  NOT NULL,   -- {"name":[value,time],…}
  PRIMARY KEY (workspace, object)
);
CREATE UNIQUE INDEX objects_id ON objects (workspace, type, id);
CREATE UNIQUE INDEX objects_cio ON objects (workspace, cio);

CREATE TABLE relationships (
  workspace  BIGINT NOT NULL,
  person     BIGINT NOT NULL,
  object     BIGINT NOT NULL,
  created    BIGINT NOT NULL,
  attributes BYTEA  NOT NULL,
  PRIMARY KEY (workspace, person, object)
);
CREATE INDEX relationships_object ON relationships (workspace, object, person);

-- Relationships of visitors who are nobody yet.
CREATE TABLE visits (
  workspace  BIGINT NOT NULL,
  anonymous  TEXT COLLATE "C" NOT NULL,
  object     BIGINT NOT NULL,
  received   BIGINT NOT NULL,
  attributes BYTEA  NOT NULL,
  PRIMARY KEY (workspace, anonymous, object)
);
CREATE INDEX visits_object ON visits (workspace, object);
CREATE INDEX visits_received ON visits (workspace, received);
