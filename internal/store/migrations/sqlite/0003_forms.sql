CREATE TABLE forms (
  workspace   BIGINT NOT NULL,
  form        TEXT   NOT NULL,  -- the caller's form_id
  fields      TEXT   NOT NULL,  -- names of fields that were sent, a JSON list
  submissions BIGINT NOT NULL,
  refused     BIGINT NOT NULL,
  created     BIGINT NOT NULL,
  updated     BIGINT NOT NULL,
  PRIMARY KEY (workspace, form)
) WITHOUT ROWID;

-- Reports of metrics name a delivery by its public id alone. It is unique for itself: the workspace is hashed into it.
DROP INDEX deliveries_public;
CREATE UNIQUE INDEX deliveries_public ON deliveries (public_id);
