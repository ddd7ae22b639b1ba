-- What is checked for each row that is written, and costs more than it can find: SQLite gets these rows column by column from Go's slices, where numbers
-- and texts are never NULL. Besides, where it must check what ON CONFLICT DO UPDATE sets, it keeps each page that the statement changes as it
-- was, for the case that the statement fails halfway.
ALTER TABLE people ALTER COLUMN doc DROP NOT NULL;
ALTER TABLE journeys ALTER COLUMN campaign DROP NOT NULL;
ALTER TABLE journeys ALTER COLUMN version DROP NOT NULL;
ALTER TABLE journeys ALTER COLUMN state DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN person DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN type DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN name DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN at DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN received DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN caller_id DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN anonymous DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN prev DROP NOT NULL;
ALTER TABLE activities ALTER COLUMN prev_named DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN person DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN at DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN kind DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN subject DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN version DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN outcome DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN reason DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN campaign DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN prev DROP NOT NULL;
-- IN is looked up in a table of its own for each row, OR is not.
DROP INDEX activities_failed;
CREATE INDEX activities_failed ON activities (workspace, seq) WHERE type = 5 OR type = 10 OR type = 12;
