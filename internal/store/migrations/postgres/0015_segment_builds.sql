-- How far the making of a segment's membership is. What was being brought to new definitions by earlier programs is built anew.
CREATE TABLE segment_builds (
  workspace BIGINT NOT NULL,
  segment   BIGINT NOT NULL,
  began     BIGINT NOT NULL,    -- generation at which it began
  gen       BIGINT NOT NULL,    -- from this generation on people who change are evaluated for what is built
  live      BIGINT NOT NULL,    -- version that answers until it is finished, 0 = none
  state     BIGINT NOT NULL,
  built     BIGINT NOT NULL,    -- documents of earlier generations do not hold the membership that answers: bitmaps do
  since     BIGINT NOT NULL,
  PRIMARY KEY (workspace, segment)
);

INSERT INTO segment_builds (workspace, segment, began, gen, live, state, built, since)
SELECT d.workspace, d.id, w.gen + 1, w.gen + 1, d.version, 1, 0, 0 FROM definitions d JOIN workspaces w ON w.id = d.workspace
WHERE d.kind = 'segments' AND d.current AND NOT d.deleted AND w.sweep <> 0 AND d.body NOT LIKE '%"manual":true%';
UPDATE workspaces SET sweep = 1, gen = gen + 1 WHERE sweep <> 0;

-- Since when documents count an event condition.
CREATE TABLE segment_facts (
  workspace BIGINT NOT NULL,
  fact      BIGINT NOT NULL,    -- its key, as a signed number
  keep      BIGINT NOT NULL,
  born      BIGINT NOT NULL,
  PRIMARY KEY (workspace, fact)
);
