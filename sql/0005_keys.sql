-- Keys that have ended; how long a place is kept; fences after a restore.
-- Oldest program: schema 1.

CREATE TABLE ended_key (
  project VARCHAR(64) NOT NULL COMMENT 'name of the project whose key it is: when that is deleted its keys end, or they would open a later one of the name',
  name    VARCHAR(64) NOT NULL COMMENT 'name of the key',
  number  INT UNSIGNED NOT NULL COMMENT 'the latest of its keys that has an end; those of lower numbers have ended',
  ends_at DATETIME(6) NOT NULL COMMENT 'when that one ended, or will',
  PRIMARY KEY (project, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='API keys that were revoked or replaced; the keys themselves only nginx knows';

ALTER TABLE project
  ADD COLUMN first_fence BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'what the fence of a new stack begins above: after a restore, above all that were given before',
  ALGORITHM=COPY;

ALTER TABLE lease
  ADD COLUMN grace_s INT UNSIGNED NULL COMMENT 'how long its place is kept once its caller hung up, seconds; NULL: as the program is set',
  ALGORITHM=COPY;
