-- What a request may wish for: one particular stack.
-- Oldest program: schema 1.
--
-- An older program beside this one knows no such wishes: it grants those who ask there any stack.

ALTER TABLE lease
  ADD COLUMN wanted_stack_no INT UNSIGNED NULL COMMENT 'the one stack that it waits for; NULL: any',
  ALGORITHM=COPY;
