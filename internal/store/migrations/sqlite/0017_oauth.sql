-- Agent keys may be the grant of an OAuth client: then hash and expires are those of its newest access token.
ALTER TABLE credentials ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN approved BIGINT NOT NULL DEFAULT 0; -- the admin key of who agreed
ALTER TABLE credentials ADD COLUMN per_minute BIGINT NOT NULL DEFAULT 0; -- requests; 0 = no limit of its own

-- Clients that the operator registered; others tell of themselves at their client_id.
CREATE TABLE oauth_clients (
  id        TEXT   NOT NULL PRIMARY KEY,
  name      TEXT   NOT NULL,
  redirects TEXT   NOT NULL, -- JSON list
  created   BIGINT NOT NULL
) WITHOUT ROWID;

-- Codes, kept for a day after their end so that one that comes again is known.
CREATE TABLE oauth_codes (
  hash       BLOB   NOT NULL PRIMARY KEY,
  doc        TEXT   NOT NULL, -- JSON of oauth.Code
  expires    BIGINT NOT NULL,
  credential BIGINT NOT NULL  -- that was issued for it, 0 = it was not used
) WITHOUT ROWID;

-- Refresh tokens, used ones until their end too.
CREATE TABLE oauth_refresh (
  hash       BLOB   NOT NULL PRIMARY KEY,
  credential BIGINT NOT NULL,
  scopes     TEXT   NOT NULL, -- comma-separated: that were agreed to
  expires    BIGINT NOT NULL,
  used       BIGINT NOT NULL  -- 0 = it was not
) WITHOUT ROWID;
