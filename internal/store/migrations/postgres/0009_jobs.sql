-- Work in the background that one node does at a time and another takes over.
CREATE TABLE jobs (
  workspace   BIGINT  NOT NULL,
  kind        TEXT    NOT NULL,
  id          BIGINT  NOT NULL,  -- from job_numbers
  state       TEXT    NOT NULL,  -- preparing, queued, running, done or failed
  spec        BYTEA   NOT NULL,  -- JSON, what to do
  progress    BYTEA,             -- JSON, how far it is
  owner       TEXT    NOT NULL,  -- node that works on it, '' = nobody
  epoch       BIGINT  NOT NULL,  -- grows with each claim
  lease_until BIGINT  NOT NULL,  -- an open job may be claimed from then on, real time
  attempts    BIGINT  NOT NULL,
  reads       BIGINT  NOT NULL,  -- how often its file was fetched
  expired     BOOLEAN NOT NULL,  -- its file was deleted by age
  created     BIGINT  NOT NULL,
  updated     BIGINT  NOT NULL,
  error       TEXT    NOT NULL,
  PRIMARY KEY (workspace, kind, id)
);
CREATE INDEX jobs_open ON jobs (kind, lease_until) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_age ON jobs (kind, updated);

-- Last number of each kind of job in a workspace.
CREATE TABLE job_numbers (
  workspace BIGINT NOT NULL,
  kind      TEXT   NOT NULL,
  last      BIGINT NOT NULL,
  PRIMARY KEY (workspace, kind)
);

-- What a job reads or has made, in parts that are packed each for itself.
CREATE TABLE job_files (
  workspace BIGINT NOT NULL,
  kind      TEXT   NOT NULL,
  job       BIGINT NOT NULL,
  part      BIGINT NOT NULL,  -- from 0
  bytes     BYTEA  NOT NULL,  -- gzip
  PRIMARY KEY (workspace, kind, job, part)
);
