-- What messages said, as they were handed over. A row goes with the person of its delivery, and by age.
CREATE TABLE archives (
  workspace BIGINT NOT NULL,
  delivery  BIGINT NOT NULL,  -- number
  created   BIGINT NOT NULL,  -- Unix ms of the workspace's clock
  doc       BLOB   NOT NULL,  -- JSON
  PRIMARY KEY (workspace, delivery)
);
