-- What was accepted and not applied is listed by itself: activities of type 5 failed change, 10 failed event, 12 rejected.
CREATE INDEX activities_failed ON activities (workspace, seq) WHERE type IN (5, 10, 12);
