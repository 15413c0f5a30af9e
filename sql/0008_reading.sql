-- Indexes by which the filters of history and actions find their rows, the latest first.
-- Oldest program: schema 1.

ALTER TABLE history
  DROP KEY history_of_stack,
  ADD KEY history_of_stack (project_id, stack_no, ended_at),
  ADD KEY history_of_branch (project_id, branch, ended_at),
  ADD KEY history_by_state (project_id, state, ended_at);

ALTER TABLE action
  ADD KEY action_of_stack (project_id, stack_no, at);
