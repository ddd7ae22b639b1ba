-- What agents did and were refused. Entries are chained by their hashes and never change.
CREATE TABLE agent_audit (
  workspace BIGINT NOT NULL,
  seq       BIGINT NOT NULL,  -- from 1, without gaps
  at        BIGINT NOT NULL,  -- Unix ms, real time
  doc       BLOB   NOT NULL,  -- JSON of audit.Entry
  PRIMARY KEY (workspace, seq)
) WITHOUT ROWID;

-- The newest entry of each workspace.
CREATE TABLE agent_audit_heads (
  workspace BIGINT NOT NULL PRIMARY KEY,
  seq       BIGINT NOT NULL,
  hash      BLOB   NOT NULL
);

-- What all agents of a workspace may do, whatever their keys; none = what workspace.AgentPolicy's zero value says.
CREATE TABLE agent_policies (
  workspace BIGINT  NOT NULL PRIMARY KEY,
  stopped   BOOLEAN NOT NULL,
  live      BOOLEAN NOT NULL
);
