-- Events of nobody are found by their anonymous id when somebody receives it.
CREATE INDEX activities_anonymous ON activities (workspace, anonymous, seq) WHERE person = 0 AND anonymous <> '';
