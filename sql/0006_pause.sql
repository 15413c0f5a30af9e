-- Projects that pause.
-- Oldest program: schema 1.
--
-- An older program beside this one knows no pause: it goes on granting.

ALTER TABLE project
  ADD COLUMN paused_at    DATETIME(6) NULL COMMENT 'since when nobody gets a stack; NULL: it is not paused',
  ADD COLUMN paused_by    BINARY(64) NULL COMMENT 'name of the API key that paused it',
  ADD COLUMN pause_reason BINARY(255) NULL COMMENT 'why, in the administrator''s words',
  ALGORITHM=COPY;
