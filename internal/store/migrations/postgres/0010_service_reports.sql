-- How tasks with services of the guide went, as agents report it. Texts are masked before they are kept.
CREATE TABLE service_reports (
  workspace BIGINT NOT NULL,
  service   TEXT COLLATE "C" NOT NULL,
  created   BIGINT NOT NULL,  -- Unix ms
  id        TEXT COLLATE "C" NOT NULL,  -- of the request's key, or a ULID
  doc       BYTEA NOT NULL,  -- JSON
  PRIMARY KEY (workspace, service, id)
);
CREATE INDEX service_reports_newest ON service_reports (workspace, service, created);
