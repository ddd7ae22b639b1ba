-- The credential that took the place of another one, 0 = none did.
ALTER TABLE credentials ADD COLUMN replaced BIGINT NOT NULL DEFAULT 0;

-- From where a workspace's keys may be used; no row = from everywhere.
CREATE TABLE allowed_addresses (
  workspace BIGINT NOT NULL,
  prefix    TEXT NOT NULL,  -- in CIDR notation, masked
  PRIMARY KEY (workspace, prefix)
) WITHOUT ROWID;
