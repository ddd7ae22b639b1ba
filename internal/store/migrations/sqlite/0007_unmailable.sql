-- Addresses that take no mail, apart from people and their suppression.
CREATE TABLE unmailable (
  workspace BIGINT NOT NULL,  -- 0 = all
  hash      BLOB   NOT NULL,  -- keyed, of the folded address
  domain    TEXT   NOT NULL,  -- of the sender, '' = all
  category  TEXT   NOT NULL,  -- bounces, spam or manual
  created   BIGINT NOT NULL,
  PRIMARY KEY (workspace, hash, domain)
) WITHOUT ROWID;
