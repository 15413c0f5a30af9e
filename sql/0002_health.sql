-- What a stack runs, unit by unit, and whether it is well.
-- Oldest program: schema 1.
--
-- A content (`manifest.units`) may hold units with an empty fingerprint: something of that name may run,
-- nobody knows what. A program for schema 1 takes that for one more fingerprint that differs, which is right.
--
-- ALGORITHM=COPY writes the rows anew. Servers otherwise add columns without touching them, and a row gets
-- longer when it next changes.

ALTER TABLE project
  ADD COLUMN quarantine_after INT UNSIGNED NOT NULL DEFAULT 2 COMMENT 'a stack on which deploys of this many branches failed is quarantined; 0: never',
  ADD COLUMN settle_s         INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'for how long nobody gets a stack whose deploy was cut off, seconds',
  ADD COLUMN max_held         INT UNSIGNED NULL COMMENT 'how many stacks jobs may hold at a time; NULL: half of max_stacks',
  ALGORITHM=COPY;

ALTER TABLE stack
  ADD COLUMN deployed_at     DATETIME(6) NULL COMMENT 'when a job last said that all of its units run; NULL: never',
  ADD COLUMN held_by_job     TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: a job holds it, for the next request of its branch',
  ADD COLUMN hold_lease_id   BINARY(16) NULL COMMENT 'secret of the lease that ended in the latest hold, which may end it',
  ADD COLUMN failed_deploys  INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'deploys that failed or were cut off since deployed_at',
  ADD COLUMN failed_since    DATETIME(6) NULL COMMENT 'when the first of them did',
  ADD COLUMN failed_branch   BINARY(255) NULL COMMENT 'branch of the latest that failed by itself',
  ADD COLUMN unsettled_since DATETIME(6) NULL COMMENT 'when a deploy was cut off, so that the cloud may still be at work; NULL: it is at rest',
  ALGORITHM=COPY;

ALTER TABLE lease
  ADD COLUMN marked      TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: its latest mark was setLastDeployedCommit with its leaseId',
  ADD COLUMN whole       TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: and said that all of its units run',
  ADD COLUMN wont_resume TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: it does not want the stack that its branch holds',
  ALGORITHM=COPY;

CREATE TABLE stack_failure (
  project_id INT UNSIGNED NOT NULL COMMENT 'whose stack',
  stack_no   INT UNSIGNED NOT NULL COMMENT 'which',
  lease_no   BIGINT UNSIGNED NOT NULL COMMENT 'the lease whose deploy failed',
  branch     VARCHAR(255) NOT NULL COMMENT 'its branch; of each branch the first failure is kept',
  job_name   VARCHAR(255) NULL COMMENT 'what the job called itself',
  job_url    VARCHAR(2048) NULL COMMENT 'where a person finds the job',
  failed_at  DATETIME(6) NOT NULL COMMENT 'when the lease ended',
  PRIMARY KEY (project_id, stack_no, lease_no),
  CONSTRAINT stack_failure_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Failed deploys of a stack since it last ran something whole; a row never changes';
