-- What attributes and events are for, as programs describe them.
CREATE TABLE data_index (
  workspace   BIGINT NOT NULL,
  kind        TEXT   NOT NULL,  -- attribute or event
  name        TEXT   NOT NULL,
  description TEXT   NOT NULL,
  privacy     BIGINT NOT NULL,  -- 1 = sensitive
  updated     BIGINT NOT NULL,  -- Unix ms, real time
  PRIMARY KEY (workspace, kind, name)
);
