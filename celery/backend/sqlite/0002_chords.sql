-- Chords: how many ends of a group have reported, and what.  Dates are UTC microseconds.

CREATE TABLE chords (
    group_id   TEXT PRIMARY KEY,
    size       INTEGER,                   -- ends that will report; NULL = not known yet
    n_parts    INTEGER NOT NULL DEFAULT 0, -- that have
    owner      TEXT,                      -- the task whose report was the last one
    is_over    INTEGER NOT NULL DEFAULT 0, -- what follows has been sent
    saved      TEXT,                      -- JSON: the shape of nested results
    expires_at INTEGER                    -- NULL = never
) STRICT, WITHOUT ROWID;

CREATE INDEX chords_expires_at ON chords (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE chord_parts (
    group_id TEXT NOT NULL REFERENCES chords (group_id) ON DELETE CASCADE,
    task_id  TEXT NOT NULL,
    position INTEGER NOT NULL, -- in the group
    member   TEXT NOT NULL,    -- JSON: [1, id, state, result]
    PRIMARY KEY (group_id, task_id)
) STRICT, WITHOUT ROWID;
