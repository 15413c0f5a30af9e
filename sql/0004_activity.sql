-- What the choice of a stack looks ahead by: which branch is the main one, what branches asked for lately, how
-- long each unit takes to deploy.
-- Oldest program: schema 1.
--
-- An older program doesn't know that `activity` and `active_branch` refer to manifests, and may delete those:
-- such a reference counts as nothing.

ALTER TABLE project
  ADD COLUMN main_branch BINARY(255) NULL COMMENT 'the branch that others come from and go back to; NULL: main, or master',
  ALGORITHM=COPY;

ALTER TABLE stack
  ADD COLUMN grant_no BIGINT UNSIGNED NULL COMMENT 'number of its latest grant to a job that named units, of all such of the project; NULL: none',
  ALGORITHM=COPY;

ALTER TABLE lease
  ADD COLUMN estimated_deploy_s INT UNSIGNED NULL COMMENT 'how long the units that differ at the grant should take to deploy, one after the other, seconds; NULL: nothing is known',
  ALGORITHM=COPY;

ALTER TABLE history
  ADD COLUMN estimated_deploy_s INT UNSIGNED NULL COMMENT 'how long the units that differed at the grant should have taken to deploy, one after the other, seconds; NULL: nothing was known';

CREATE TABLE activity (
  project_id INT UNSIGNED NOT NULL COMMENT 'whose activity',
  main_units BIGINT UNSIGNED NULL COMMENT 'what the main branch asked for last (manifest); NULL: it never did',
  grants     BIGINT UNSIGNED NOT NULL COMMENT 'how many there were to jobs that named units',
  job_work   DOUBLE NOT NULL COMMENT 'milliseconds that their deploys cost; each grant makes the earlier ones count 1/64 less',
  refreshed  DOUBLE NOT NULL COMMENT 'the same of refreshes',
  PRIMARY KEY (project_id),
  CONSTRAINT activity_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB ROW_FORMAT=REDUNDANT DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='What jobs that named units asked for lately';

CREATE TABLE active_branch (
  project_id INT UNSIGNED NOT NULL COMMENT 'whose branch',
  slot       TINYINT UNSIGNED NOT NULL COMMENT 'from 0; the branch that was active longest ago makes room for a new one',
  branch     BINARY(255) NOT NULL COMMENT 'its name',
  units      BIGINT UNSIGNED NOT NULL COMMENT 'what it asked for last (manifest)',
  grant_no   BIGINT UNSIGNED NOT NULL COMMENT 'number of the grant for that',
  merged     TINYINT UNSIGNED NOT NULL COMMENT '1: main has since come to run it',
  PRIMARY KEY (project_id, slot),
  CONSTRAINT active_branch_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB ROW_FORMAT=REDUNDANT DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='The branches, other than the main one, whose jobs named units lately';

CREATE TABLE deploy_time (
  project_id  INT UNSIGNED NOT NULL COMMENT 'whose unit',
  unit        VARBINARY(255) NOT NULL COMMENT 'its name; bytes, or spaces at the end would not count',
  mean_ms     INT UNSIGNED NOT NULL COMMENT 'how long its deploys take, a mean in which the latest count most, milliseconds',
  weight_ms   INT UNSIGNED NOT NULL COMMENT 'what it counts for in choices: the mean, as it was when the two differed last by more than a quarter, milliseconds',
  deploys     BIGINT UNSIGNED NOT NULL COMMENT 'how many were measured',
  measured_at DATETIME(6) NOT NULL COMMENT 'when the latest was',
  PRIMARY KEY (project_id, unit),
  CONSTRAINT deploy_time_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB ROW_FORMAT=REDUNDANT DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='How long units take to deploy, as jobs measured it';
