-- From whom people want nothing over a channel. A row goes with its person.
CREATE TABLE optouts (
  workspace BIGINT NOT NULL,
  person    BIGINT NOT NULL,
  channel   TEXT   NOT NULL,  -- sms, whatsapp
  sender    TEXT   NOT NULL,  -- the number that messages come from
  PRIMARY KEY (workspace, person, channel, sender)
);

-- Lists of those of one sender.
CREATE INDEX optouts_sender ON optouts (workspace, sender, person, channel);
