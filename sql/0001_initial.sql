-- The first schema. Applied by `orchestratorctl migrate`; the program never alters a table.
--
-- Times are DATETIME(6) in UTC, by the database's own clock. Text compares byte by byte, but for spaces at
-- its end.
-- Live rows (`lease`) and ended ones (`history`) stand apart, so that the work of a grant
-- doesn't grow with the years of history behind it.
--
-- Rows that change never get longer: MariaDB may lose a row for which a full disk has no room, though it
-- rolls the transaction back. ROW_FORMAT=REDUNDANT keeps the room of a NULL for values of a fixed width. Texts
-- that change have one, too: bytes of UTF-8, with zeros to the end (`prefix` is ASCII); or they stand in rows
-- that never change (`stack_note`).

CREATE TABLE project (
  project_id      INT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'internal number',
  name            VARCHAR(64) NOT NULL COMMENT 'what keys and the administrator call it',
  prefix          CHAR(64) NOT NULL DEFAULT 'test-' COMMENT 'a stack is named prefix + number',
  initial_commit  BINARY(255) NULL COMMENT 'lastDeployedCommit of a stack that never had one',
  max_stacks      INT UNSIGNED NOT NULL DEFAULT 10 COMMENT 'requests create stacks up to this many',
  lease_s         INT UNSIGNED NOT NULL DEFAULT 3600 COMMENT 'lease time when the caller wishes none, seconds',
  max_lease_s     INT UNSIGNED NOT NULL DEFAULT 86400 COMMENT 'largest lease time, and lifetime with all extensions, seconds',
  wait_s          INT UNSIGNED NOT NULL DEFAULT 600 COMMENT 'how long a request waits when the caller wishes nothing, seconds',
  next_lease_no   BIGINT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'number of the next request, or of the next new content',
  version         BIGINT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'rises with every change to the project or to anything in it; tells a program whether what it remembers still holds',
  created         DATETIME(6) NOT NULL COMMENT 'when it was created',
  modified        DATETIME(6) NOT NULL COMMENT 'when its settings last changed',
  PRIMARY KEY (project_id),
  UNIQUE KEY project_name (name)
) ENGINE=InnoDB ROW_FORMAT=REDUNDANT DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='One app of one team: its settings and its row lock';

CREATE TABLE stack (
  project_id           INT UNSIGNED NOT NULL COMMENT 'whose stack',
  stack_no             INT UNSIGNED NOT NULL COMMENT 'the number in its name',
  state                ENUM('available','leased','held','quarantined','draining','deleted') NOT NULL COMMENT 'life cycle; a deleted row stays, so that its fence goes on rising when the name returns',
  next_state           ENUM('held','quarantined') NULL COMMENT 'what a leased stack becomes when it is given back, instead of available',
  fence                BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'rises with every grant of this stack',
  branch               BINARY(255) NULL COMMENT 'branch of its latest lease',
  last_deployed_commit BINARY(255) NULL COMMENT 'what setLastDeployedCommit last said; NULL: never',
  content              BIGINT UNSIGNED NULL COMMENT 'the units that it runs (manifest); NULL: unknown',
  lease_no             BIGINT UNSIGNED NULL COMMENT 'its active lease',
  hold_s               INT UNSIGNED NULL COMMENT 'how long it will be held once it is given back, seconds',
  held_until           DATETIME(6) NULL COMMENT 'when a held stack returns to the pool',
  created              DATETIME(6) NOT NULL COMMENT 'when the stack was created',
  modified             DATETIME(6) NOT NULL COMMENT 'when it last changed: for an available stack, since when it is idle',
  PRIMARY KEY (project_id, stack_no),
  CONSTRAINT stack_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB ROW_FORMAT=REDUNDANT DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='The deployed copies';

CREATE TABLE stack_note (
  project_id INT UNSIGNED NOT NULL COMMENT 'whose stack',
  stack_no   INT UNSIGNED NOT NULL COMMENT 'which',
  note_no    BIGINT UNSIGNED NOT NULL COMMENT 'rises with every change: a row of the next number takes the place of this one',
  owner      VARCHAR(255) NULL COMMENT 'who holds or quarantined it',
  reason     VARCHAR(1000) NULL COMMENT 'why it is held or quarantined',
  PRIMARY KEY (project_id, stack_no, note_no),
  CONSTRAINT stack_note_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Who set a stack aside, and why; one that never was has none';

CREATE TABLE lease (
  project_id      INT UNSIGNED NOT NULL COMMENT 'whose lease',
  lease_no        BIGINT UNSIGNED NOT NULL COMMENT 'public number of the request; the order of the queue',
  state           ENUM('waiting','active') NOT NULL COMMENT 'ended leases move to history',
  request_id      VARCHAR(255) NULL COMMENT 'idempotency key of the caller; NULL: a plain request',
  key_name        VARCHAR(64) NOT NULL COMMENT 'name of the API key that asked',
  branch          VARCHAR(255) NOT NULL COMMENT 'branch that the job tests',
  commit_id       VARCHAR(255) NULL COMMENT 'commit that the job tests',
  units           BIGINT UNSIGNED NULL COMMENT 'the units that the job needs (manifest); NULL: it named none',
  purpose         ENUM('test','refresh') NOT NULL COMMENT 'what the stack is wanted for',
  job_url         VARCHAR(2048) NULL COMMENT 'where a person finds the job',
  job_name        VARCHAR(255) NULL COMMENT 'what the job calls itself',
  job_user        VARCHAR(255) NULL COMMENT 'who started the job',
  priority        SMALLINT NOT NULL DEFAULT 0 COMMENT '-10 to 10, higher first',
  lease_s         INT UNSIGNED NOT NULL COMMENT 'lease time to grant, seconds',
  passed_over     INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'how often a later request got a stack before it',
  asked_at        DATETIME(6) NOT NULL COMMENT 'when it was first asked',
  instance_id     BIGINT UNSIGNED NULL COMMENT 'program instance that holds the waiting connection; NULL: nobody is connected',
  wait_until      DATETIME(6) NULL COMMENT 'number of the latest call about the request: the time at which its caller stops waiting, or a few microseconds later, so that no two calls have the same',
  place_until     DATETIME(6) NULL COMMENT 'until when an unconnected request keeps its place',
  timed_out       TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: the caller left with a 503 in hand; 0: it hung up',
  lease_id        BINARY(16) NULL COMMENT 'secret of the active lease',
  protected       TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: only its leaseId releases, extends or marks it',
  stack_no        INT UNSIGNED NULL COMMENT 'the leased stack',
  fence           BIGINT UNSIGNED NULL COMMENT 'fence of this grant',
  is_new          TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: the stack was created for this lease',
  stack_commit    BINARY(255) NULL COMMENT 'lastDeployedCommit of the stack when it was granted',
  stack_content   BIGINT UNSIGNED NULL COMMENT 'what the stack ran when it was granted (manifest); NULL: unknown',
  changed_units   INT UNSIGNED NULL COMMENT 'how many units differed at the grant; NULL: it named no units',
  granted_at      DATETIME(6) NULL COMMENT 'when it became active',
  expires_at      DATETIME(6) NULL COMMENT 'when it ends by itself',
  deployed_at     DATETIME(6) NULL COMMENT 'its latest setLastDeployedCommit',
  PRIMARY KEY (project_id, lease_no),
  CONSTRAINT lease_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB ROW_FORMAT=REDUNDANT DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Live requests: waiting or active';

CREATE TABLE history (
  project_id      INT UNSIGNED NOT NULL COMMENT 'whose lease',
  lease_no        BIGINT UNSIGNED NOT NULL COMMENT 'public number of the request',
  state           ENUM('released','expired','revoked','timedOut','abandoned','cancelled','superseded') NOT NULL COMMENT 'how it ended',
  outcome         ENUM('success','failed','deployFailed','notDeployed','hold','quarantine') NULL COMMENT 'what the job said when it gave the stack back',
  request_id      VARCHAR(255) NULL COMMENT 'idempotency key of the caller',
  key_name        VARCHAR(64) NOT NULL COMMENT 'name of the API key that asked',
  branch          VARCHAR(255) NOT NULL COMMENT 'branch that the job tested',
  commit_id       VARCHAR(255) NULL COMMENT 'commit that the job tested',
  purpose         ENUM('test','refresh') NOT NULL COMMENT 'what the stack was wanted for',
  job_url         VARCHAR(2048) NULL COMMENT 'where a person finds the job',
  job_name        VARCHAR(255) NULL COMMENT 'what the job called itself',
  job_user        VARCHAR(255) NULL COMMENT 'who started the job',
  lease_id        BINARY(16) NULL COMMENT 'its secret, so that a late release of its own can be told from a wrong one',
  stack_no        INT UNSIGNED NULL COMMENT 'the stack it had; NULL: never granted',
  fence           BIGINT UNSIGNED NULL COMMENT 'fence of its grant',
  is_new          TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '1: the stack was created for this lease',
  changed_units   INT UNSIGNED NULL COMMENT 'how many units differed at the grant; NULL: it named no units',
  asked_at        DATETIME(6) NOT NULL COMMENT 'when it was first asked',
  granted_at      DATETIME(6) NULL COMMENT 'when it became active; NULL: never',
  deployed_at     DATETIME(6) NULL COMMENT 'its latest setLastDeployedCommit; NULL: never',
  ended_at        DATETIME(6) NOT NULL COMMENT 'when it ended',
  PRIMARY KEY (project_id, lease_no),
  KEY history_of_stack (project_id, stack_no, lease_no),
  KEY history_by_end (project_id, ended_at),
  CONSTRAINT history_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Ended requests and leases';

CREATE TABLE request_key (
  project_id INT UNSIGNED NOT NULL COMMENT 'whose request',
  request_id VARBINARY(1020) NOT NULL COMMENT 'idempotency key of the caller: bytes, or spaces at the end would not count',
  lease_no   BIGINT UNSIGNED NOT NULL COMMENT 'the request that it names',
  created    DATETIME(6) NOT NULL COMMENT 'when that request came; see sql/README.md for when the row goes',
  PRIMARY KEY (project_id, request_id),
  KEY request_key_by_age (created),
  CONSTRAINT request_key_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Idempotency keys, each with the latest request that it named';

CREATE TABLE manifest (
  project_id  INT UNSIGNED NOT NULL COMMENT 'whose units',
  manifest_no BIGINT UNSIGNED NOT NULL COMMENT 'number of the request that first brought it; of a content, a number of its own from the same counter',
  units       MEDIUMTEXT NOT NULL COMMENT 'JSON object: unit name to fingerprint',
  PRIMARY KEY (project_id, manifest_no),
  CONSTRAINT manifest_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Sets of units with their fingerprints, kept while a stack or a live lease refers to them';

CREATE TABLE action (
  action_id  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'internal number',
  project_id INT UNSIGNED NOT NULL COMMENT 'whose stack',
  at         DATETIME(6) NOT NULL COMMENT 'when',
  key_name   VARCHAR(64) NOT NULL COMMENT 'who: name of the API key',
  verb       VARCHAR(32) NOT NULL COMMENT 'what: holdStack, revokeLease, …',
  stack_no   INT UNSIGNED NULL COMMENT 'the stack, where there is one',
  detail     VARCHAR(1000) NULL COMMENT 'what changed',
  reason     VARCHAR(1000) NULL COMMENT 'why, in the administrator''s words',
  PRIMARY KEY (action_id),
  KEY action_of_project (project_id, at),
  CONSTRAINT action_of_project FOREIGN KEY (project_id) REFERENCES project (project_id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='What administrators did';

CREATE TABLE instance (
  instance_id BIGINT UNSIGNED NOT NULL COMMENT 'random number of one run of the program',
  host        VARCHAR(255) NOT NULL COMMENT 'where it runs',
  last_batch  BIGINT UNSIGNED NOT NULL COMMENT 'its latest committed batch: tells whether an unanswered COMMIT happened',
  heartbeat   DATETIME(6) NOT NULL COMMENT 'its latest sign of life',
  started     DATETIME(6) NOT NULL COMMENT 'when it started',
  PRIMARY KEY (instance_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='Running programs';
