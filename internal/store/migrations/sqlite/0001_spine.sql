-- Times are Unix milliseconds, booleans BOOLEAN, definitions JSON text, people's documents and event data BLOBs in our own encoding.

CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE partitions (
  id          BIGINT NOT NULL PRIMARY KEY,
  owner       TEXT   NOT NULL,  -- node that reads it, '' = nobody
  epoch       BIGINT NOT NULL,  -- grows with each change of owner
  lease_until BIGINT NOT NULL,
  checkpoint  BIGINT NOT NULL,  -- sequence of the last applied frame
  stream_id   TEXT   NOT NULL   -- identity of the stream that the checkpoint belongs to, '' = none read yet
);

CREATE TABLE workspaces (
  id           BIGINT NOT NULL PRIMARY KEY,
  name         TEXT   NOT NULL,
  partition_id BIGINT NOT NULL,
  clock        BIGINT NOT NULL,
  gen          BIGINT NOT NULL,
  sweep        BIGINT NOT NULL,
  sweep_end    BIGINT NOT NULL,
  created      BIGINT NOT NULL
);

CREATE TABLE credentials (
  id        BIGINT NOT NULL PRIMARY KEY,
  workspace BIGINT NOT NULL,    -- 0 = all
  kind      TEXT   NOT NULL,
  name      TEXT   NOT NULL,
  site_id   TEXT   NOT NULL,
  prefix    TEXT   NOT NULL,
  hash      BLOB   NOT NULL,
  scopes    TEXT   NOT NULL,    -- comma-separated
  created   BIGINT NOT NULL,
  expires   BIGINT NOT NULL,
  revoked   BIGINT NOT NULL,
  last_used BIGINT NOT NULL
);
CREATE UNIQUE INDEX credentials_hash ON credentials (kind, hash, site_id);

CREATE TABLE counters (
  workspace BIGINT NOT NULL,
  name      TEXT   NOT NULL,
  last      BIGINT NOT NULL,
  PRIMARY KEY (workspace, name)
) WITHOUT ROWID;

CREATE TABLE identifiers (
  workspace BIGINT NOT NULL,
  type      BIGINT NOT NULL,
  value     TEXT   NOT NULL,
  person    BIGINT NOT NULL,
  PRIMARY KEY (workspace, type, value)
) WITHOUT ROWID;

CREATE TABLE people (
  workspace BIGINT NOT NULL,
  person    BIGINT NOT NULL,
  doc       BLOB   NOT NULL,
  PRIMARY KEY (workspace, person)
);

CREATE TABLE suppressions (
  workspace BIGINT NOT NULL,
  hash      BLOB   NOT NULL,    -- keyed hash of type and folded value
  created   BIGINT NOT NULL,
  PRIMARY KEY (workspace, hash)
) WITHOUT ROWID;

CREATE TABLE activities (
  workspace  BIGINT NOT NULL,
  seq        BIGINT NOT NULL,
  person     BIGINT NOT NULL,
  type       BIGINT NOT NULL,
  name       TEXT   NOT NULL,
  at         BIGINT NOT NULL,
  received   BIGINT NOT NULL,
  caller_id  TEXT   NOT NULL,
  anonymous  TEXT   NOT NULL,
  data       BLOB,
  prev       BIGINT NOT NULL,
  prev_named BIGINT NOT NULL,
  PRIMARY KEY (workspace, seq)
);

CREATE INDEX activities_nobody ON activities (workspace, seq) WHERE person = 0;

CREATE TABLE decisions (
  workspace BIGINT NOT NULL,
  seq       BIGINT NOT NULL,
  person    BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  kind      TEXT   NOT NULL,
  subject   TEXT   NOT NULL,
  version   BIGINT NOT NULL,
  outcome   TEXT   NOT NULL,
  reason    TEXT   NOT NULL,
  detail    BLOB,
  campaign  BIGINT NOT NULL,    -- numeric id of the campaign concerned, 0 = none
  prev      BIGINT NOT NULL,
  PRIMARY KEY (workspace, seq)
);

CREATE TABLE timers (
  workspace BIGINT NOT NULL,
  person    BIGINT NOT NULL,
  kind      BIGINT NOT NULL,
  ref       BIGINT NOT NULL,
  due       BIGINT NOT NULL,
  PRIMARY KEY (workspace, person, kind, ref)
) WITHOUT ROWID;
CREATE INDEX timers_due ON timers (workspace, due, person, kind, ref);

CREATE TABLE journeys (
  workspace BIGINT NOT NULL,
  person    BIGINT NOT NULL,
  id        BIGINT NOT NULL,
  campaign  BIGINT NOT NULL,
  version   BIGINT NOT NULL,
  state     BLOB   NOT NULL,
  PRIMARY KEY (workspace, person, id)
) WITHOUT ROWID;

CREATE TABLE deliveries (
  workspace     BIGINT NOT NULL,
  id            BIGINT NOT NULL,
  public_id     TEXT   NOT NULL,
  person        BIGINT NOT NULL,
  campaign      BIGINT NOT NULL,
  journey       BIGINT NOT NULL,
  action        TEXT   NOT NULL,
  action_id     BIGINT NOT NULL,
  visit         BIGINT NOT NULL,
  transactional BIGINT NOT NULL,
  version       BIGINT NOT NULL,
  state         BIGINT NOT NULL,
  epoch         BIGINT NOT NULL,
  due           BIGINT NOT NULL,
  lease         BIGINT NOT NULL,
  attempts      BIGINT NOT NULL,
  created       BIGINT NOT NULL,
  recipient     TEXT   NOT NULL,
  subject       TEXT   NOT NULL,
  reason        TEXT   NOT NULL,
  metrics       BLOB,
  data          BLOB,
  PRIMARY KEY (workspace, id)
);
CREATE UNIQUE INDEX deliveries_public ON deliveries (workspace, public_id);
CREATE UNIQUE INDEX deliveries_once ON deliveries (workspace, journey, action, visit) WHERE journey <> 0;
CREATE INDEX deliveries_person ON deliveries (workspace, person, id);
CREATE INDEX deliveries_queued ON deliveries (workspace, due, id) WHERE state = 1;
CREATE INDEX deliveries_flight ON deliveries (workspace, lease, id) WHERE state = 2;

CREATE TABLE definitions (
  workspace BIGINT  NOT NULL,
  kind      TEXT    NOT NULL,
  id        BIGINT  NOT NULL,   -- numeric, from the workspace's counter of this kind
  version   BIGINT  NOT NULL,
  slug      TEXT    NOT NULL,   -- the author's id
  body      TEXT    NOT NULL,   -- canonical JSON
  gen       BIGINT  NOT NULL,   -- generation at which this version was saved
  current   BOOLEAN NOT NULL,
  deleted   BOOLEAN NOT NULL,
  created   BIGINT  NOT NULL,   -- of the first version
  updated   BIGINT  NOT NULL,   -- of this version
  PRIMARY KEY (workspace, kind, id, version)
) WITHOUT ROWID;
CREATE INDEX definitions_current ON definitions (workspace, current);

CREATE TABLE segment_pieces (
  workspace  BIGINT NOT NULL,
  segment    BIGINT NOT NULL,
  piece      BIGINT NOT NULL,   -- ordinal / 65536
  count      BIGINT NOT NULL,
  bits       BLOB   NOT NULL,   -- roaring bitmap of ordinal % 65536
  PRIMARY KEY (workspace, segment, piece)
) WITHOUT ROWID;

CREATE TABLE mailbox (
  id          INTEGER NOT NULL PRIMARY KEY,
  workspace   BIGINT NOT NULL,
  delivery    BIGINT NOT NULL,
  person      BIGINT NOT NULL,
  sender      TEXT   NOT NULL,
  recipient   TEXT   NOT NULL,
  subject     TEXT   NOT NULL,
  source      BLOB   NOT NULL,  -- the whole message, RFC 5322
  created     BIGINT NOT NULL
);
CREATE INDEX mailbox_person ON mailbox (workspace, person);
CREATE INDEX mailbox_newest ON mailbox (workspace, id);
