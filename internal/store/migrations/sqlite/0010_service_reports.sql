-- How tasks with services of the guide went, as agents report it. Texts are masked before they are kept.
CREATE TABLE service_reports (
  workspace BIGINT NOT NULL,
  service   TEXT   NOT NULL,
  created   BIGINT NOT NULL,  -- Unix ms
  id        TEXT   NOT NULL,  -- of the request's key, or a ULID
  doc       BLOB NOT NULL,  -- JSON
  PRIMARY KEY (workspace, service, id)
) WITHOUT ROWID;
CREATE INDEX service_reports_newest ON service_reports (workspace, service, created);
