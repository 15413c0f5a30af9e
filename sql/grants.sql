-- Who may do what. Run by `orchestratorctl database create` as an administrator, which fills in the
-- @NAMES@; safe to run again, which also sets the passwords anew.

CREATE DATABASE IF NOT EXISTS @DATABASE@ CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The program: rows, and nothing else.
CREATE USER IF NOT EXISTS @PROGRAM@ @PROGRAM_PASSWORD@;
ALTER USER @PROGRAM@ @PROGRAM_PASSWORD@;
GRANT SELECT, INSERT, UPDATE, DELETE ON @DATABASE_PATTERN@.* TO @PROGRAM@;

-- orchestratorctl: rows and tables of this one database.
CREATE USER IF NOT EXISTS @MIGRATION@ @MIGRATION_PASSWORD@;
ALTER USER @MIGRATION@ @MIGRATION_PASSWORD@;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES
  ON @DATABASE_PATTERN@.* TO @MIGRATION@;
