-- Waiting requests may be moved.
-- Oldest program: schema 1.

ALTER TABLE lease
  ADD COLUMN asked_priority SMALLINT NOT NULL DEFAULT 0 COMMENT 'the priority that its caller named last; `priority` may be an administrator''s',
  ALGORITHM=COPY;
