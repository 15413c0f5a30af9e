-- What batches changed, so that programs that remember a project read only that.
-- Oldest program: schema 1.
--
-- A batch without a row here is one of an older program, of an administrator's tool, or of a program that thought
-- itself alone. Who misses one reads the whole project.

CREATE TABLE batch (
  project_id INT UNSIGNED NOT NULL COMMENT 'whose rows it changed',
  version    BIGINT UNSIGNED NOT NULL COMMENT 'what it raised project.version to',
  parts      INT UNSIGNED NOT NULL COMMENT 'what else it changed: 1 notes and 2 failures of its stacks, 4 activity, 8 deploy times, 16 settings',
  mean_hold_s DOUBLE NOT NULL COMMENT 'how long the latest leases lasted, a mean in which the later count more, seconds; 0: none yet',
  stacks     TEXT NULL COMMENT 'numbers of the stacks that it changed, with commas',
  leases     TEXT NULL COMMENT 'of the leases that it changed or ended',
  manifests  TEXT NULL COMMENT 'of the manifests that it made; those that nothing refers to any more went with it',
  PRIMARY KEY (project_id, version),
  CONSTRAINT batch_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='What the latest batches changed, while several programs run; a row never changes';
