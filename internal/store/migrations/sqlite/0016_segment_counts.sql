-- How many people are in a segment, by the hour: a row where the number is another one than before. Manual segments are among them.
CREATE TABLE segment_counts (
  workspace BIGINT NOT NULL,
  segment   BIGINT NOT NULL,
  at        BIGINT NOT NULL,    -- the hour's beginning, Unix ms of the workspace's clock
  people    BIGINT NOT NULL,
  PRIMARY KEY (workspace, segment, at)
);
CREATE INDEX segment_counts_at ON segment_counts (workspace, at);
