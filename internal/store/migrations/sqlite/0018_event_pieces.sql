-- Events of people once more, as everybody's history is read: by stretches of sequences. What is missing is read from activities.
CREATE TABLE event_pieces (
  workspace BIGINT NOT NULL,
  piece     BIGINT NOT NULL,  -- sequence / 4096
  newest    BIGINT NOT NULL,  -- own time of the latest event, Unix ms
  doc       BLOB   NOT NULL,
  PRIMARY KEY (workspace, piece)
);
