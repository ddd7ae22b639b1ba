-- What ON CONFLICT DO UPDATE sets may be NULL as far as SQLite is concerned. Where it must check that, it keeps each page that the statement changes as it
-- was, for the case that the statement fails halfway. Nobody writes NULL there.
ALTER TABLE people ALTER COLUMN doc DROP NOT NULL;
ALTER TABLE journeys ALTER COLUMN campaign DROP NOT NULL;
ALTER TABLE journeys ALTER COLUMN version DROP NOT NULL;
ALTER TABLE journeys ALTER COLUMN state DROP NOT NULL;
