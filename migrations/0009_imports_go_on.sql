-- An import that was cut short goes on as it began.

ALTER TABLE imports ADD COLUMN encode INTEGER NOT NULL DEFAULT 0;   -- nothing of the file is passed on
