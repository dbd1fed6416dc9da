-- The result backend's file: the newest state document of each task.  Dates are UTC microseconds.

-- A changed record is a new row: result_id ascends with every change, so that "what is new since N"
-- is a look at the table's end.
CREATE TABLE results (
    result_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id    TEXT NOT NULL UNIQUE,
    status     TEXT NOT NULL,
    run        INTEGER NOT NULL, -- 0 = not known
    expires_at INTEGER,          -- NULL = never
    document   TEXT NOT NULL
) STRICT;

CREATE INDEX results_expires_at ON results (expires_at) WHERE expires_at IS NOT NULL;
