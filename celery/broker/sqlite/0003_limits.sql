-- Limits that all workers share, and paused queues.  Instants are UTC, in microseconds.

-- A rate's state is its theoretical arrival time (GCRA), kept while that lies ahead; places are
-- counted among the grants.  Only a gate with a line has next_at.
CREATE TABLE limit_gates (
    gate_key    TEXT PRIMARY KEY,
    interval_us INTEGER NOT NULL, -- 0: places
    n           INTEGER NOT NULL, -- the burst, or how many places
    arrival_at  INTEGER NOT NULL, -- the theoretical one
    next_at     INTEGER           -- when to look at its line; NULL: nobody waits
) STRICT, WITHOUT ROWID;

CREATE INDEX limit_gates_next ON limit_gates (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX limit_gates_idle ON limit_gates (arrival_at) WHERE next_at IS NULL;

-- Messages that wait for a gate, instead of a row in ready, scheduled or claims.
CREATE TABLE limit_line (
    gate_key   TEXT NOT NULL,
    priority   INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    queue_id   INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    n_crashes  INTEGER NOT NULL,
    PRIMARY KEY (gate_key, priority, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX limit_line_queue ON limit_line (queue_id);

-- Gates that a message has passed and not used up.
CREATE TABLE limit_grants (
    message_id INTEGER NOT NULL,
    gate_key   TEXT NOT NULL,
    is_place   INTEGER NOT NULL,
    lapses_at  INTEGER, -- of a place that was given to a message nobody has taken yet
    PRIMARY KEY (message_id, gate_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX limit_places ON limit_grants (gate_key) WHERE is_place;

-- A lock counts until its instant; one without an instant, as long as its message is there.
CREATE TABLE unique_locks (
    lock_key     TEXT PRIMARY KEY,
    task_id      TEXT NOT NULL,
    message_id   INTEGER NOT NULL,
    locked_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX unique_locks_message ON unique_locks (message_id);
CREATE INDEX unique_locks_until ON unique_locks (locked_until) WHERE locked_until IS NOT NULL;

CREATE TABLE paused_queues (
    queue     TEXT PRIMARY KEY,
    who       TEXT NOT NULL,
    why       TEXT NOT NULL,
    paused_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
