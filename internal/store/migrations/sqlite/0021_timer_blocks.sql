-- Timers that a build arms lie packed until the first of them is due: then they become rows of timers.
CREATE TABLE timer_blocks (
  workspace BIGINT NOT NULL,
  due       BIGINT NOT NULL,  -- of the first, Unix ms of the workspace's clock
  id        BIGINT NOT NULL,
  timers    BIGINT NOT NULL,  -- how many
  doc       BLOB   NOT NULL,
  PRIMARY KEY (workspace, due, id)
);
