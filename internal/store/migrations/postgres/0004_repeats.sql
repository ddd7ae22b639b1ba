-- Days of which a partition has a table of event ids, event_ids_<partition>_<day>; a day is a number of days since 1970.
CREATE TABLE event_days (
  partition_id BIGINT NOT NULL,
  day          BIGINT NOT NULL,
  PRIMARY KEY (partition_id, day)
);

-- Requests that came with an Idempotency-Key, for 24 hours.
CREATE TABLE request_keys (
  workspace BIGINT NOT NULL,
  hash      BYTEA   NOT NULL,  -- of the key and the credential that it came with
  print     BYTEA   NOT NULL,  -- of the request
  nonce     BYTEA   NOT NULL,  -- of the one request whose ops count
  received  BIGINT NOT NULL,
  PRIMARY KEY (workspace, hash)
);
CREATE INDEX request_keys_received ON request_keys (workspace, received);
