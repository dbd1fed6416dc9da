-- The history of tasks: the latest run of each in `tasks`, earlier ones in `attempts`.  Dates and
-- spans are microseconds, dates UTC.

-- Names of tasks, queues and workers: few, and in every row.
CREATE TABLE words (
    word_id INTEGER PRIMARY KEY,
    text    TEXT NOT NULL UNIQUE
) STRICT;

-- What a listing looks at and nothing more, so that reading a million rows is reading little.
CREATE TABLE tasks (
    row_id      INTEGER PRIMARY KEY,
    task_id     TEXT NOT NULL UNIQUE,
    name        INTEGER NOT NULL, -- a word, as the next two
    queue       INTEGER NOT NULL,
    worker      INTEGER NOT NULL,
    state       TEXT NOT NULL,
    run         INTEGER NOT NULL, -- retries, then the broker's attempt: of two the higher is newer
    at          INTEGER NOT NULL, -- when it ended
    received_at INTEGER,
    started_at  INTEGER,          -- NULL = it did not start
    runtime     INTEGER,
    pid         INTEGER,
    retries     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    flags       INTEGER NOT NULL, -- enum history_flag
    root_id     TEXT,             -- NULL = itself
    parent_id   TEXT,
    group_id    TEXT,
    args        TEXT,
    kwargs      TEXT
) STRICT;

CREATE INDEX tasks_at ON tasks (at);
CREATE INDEX tasks_name ON tasks (name, at);
CREATE INDEX tasks_queue ON tasks (queue, at);
CREATE INDEX tasks_worker ON tasks (worker, at);
-- Successes are what most rows are: they are found without an index, and pay for none.
CREATE INDEX tasks_state ON tasks (state, at) WHERE state <> 'SUCCESS';
CREATE INDEX tasks_name_state ON tasks (name, state, at) WHERE state <> 'SUCCESS';

-- Where there is something to say.
CREATE TABLE details (
    row_id    INTEGER PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    result    TEXT, -- JSON
    error     TEXT, -- "Type: message"
    traceback TEXT,
    lines     TEXT, -- "date level text", one a line
    n_dropped INTEGER NOT NULL
) STRICT;

CREATE TABLE attempts (
    row_id      INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    run         INTEGER NOT NULL,
    worker      TEXT NOT NULL,
    state       TEXT NOT NULL,
    at          INTEGER NOT NULL,
    received_at INTEGER,
    started_at  INTEGER,
    runtime     INTEGER,
    pid         INTEGER,
    retries     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    result      TEXT,
    error       TEXT,
    traceback   TEXT,
    lines       TEXT,
    n_dropped   INTEGER NOT NULL,
    PRIMARY KEY (row_id, run)
) STRICT, WITHOUT ROWID;

-- Tasks that were sent again under a new id.
CREATE TABLE retries (
    task_id  TEXT PRIMARY KEY,
    retry_of TEXT NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX retries_of ON retries (retry_of);
CREATE INDEX retries_at ON retries (at);

-- One row.
CREATE TABLE totals (
    n_tasks INTEGER NOT NULL
) STRICT;

INSERT INTO totals VALUES (0);
