-- What happened in a project, in the order in which it was committed.
-- Oldest program: schema 1.
--
-- An older program beside this one adds no events of what it does.

CREATE TABLE event (
  project_id INT UNSIGNED NOT NULL COMMENT 'where it happened',
  event_no   BIGINT UNSIGNED NOT NULL COMMENT 'given under the lock of the project: in the order of the commits, without gaps',
  at         DATETIME(6) NOT NULL COMMENT 'when',
  kind       ENUM('granted','undelivered','ended','held','quarantined','returned','action') NOT NULL COMMENT 'what happened',
  lease_no   BIGINT UNSIGNED NULL COMMENT 'the request, where there is one',
  stack_no   INT UNSIGNED NULL COMMENT 'the stack, where there is one',
  who        VARCHAR(255) NULL COMMENT 'name of the API key of the request or action; owner of a hold',
  branch     VARCHAR(255) NULL COMMENT 'of the request',
  job_url    VARCHAR(2048) NULL COMMENT 'where a person finds the job',
  job_name   VARCHAR(255) NULL COMMENT 'what the job calls itself',
  word       VARCHAR(32) NULL COMMENT 'state in which the request ended; verb of the action',
  outcome    VARCHAR(32) NULL COMMENT 'what the job said when it gave the stack back',
  detail     VARCHAR(1000) NULL COMMENT 'what an action changed',
  reason     VARCHAR(1000) NULL COMMENT 'why, in somebody''s words',
  PRIMARY KEY (project_id, event_no),
  CONSTRAINT event_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='What happened, for those who follow it';

ALTER TABLE project
  ADD COLUMN next_event_no BIGINT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'number of the next event',
  ALGORITHM=COPY;
