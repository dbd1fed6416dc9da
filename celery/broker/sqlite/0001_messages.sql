-- The broker's file.  A message is a row of `messages` (written once) and a row in exactly one of
-- ready, scheduled and claims; a dead one is a row of `dead` alone.  Narrow rows move, bodies do not.
-- Etas, expiries and dates are UTC, leases monotonic; both in microseconds.

CREATE TABLE queues (
    queue_id INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE
) STRICT;

-- The number is the place in the queue: who goes to the end gets a new one.
CREATE TABLE messages (
    message_id INTEGER PRIMARY KEY,
    expires_at INTEGER,
    task_id    TEXT NOT NULL,
    body       BLOB NOT NULL
) STRICT;

-- attempt: times it was handed out so far.  In key order: the order of delivery.
CREATE TABLE ready (
    queue_id   INTEGER NOT NULL,
    priority   INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    message_id INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    n_crashes  INTEGER NOT NULL,
    PRIMARY KEY (queue_id, priority, message_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE scheduled (
    ready_at   INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    queue_id   INTEGER NOT NULL,
    priority   INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    n_crashes  INTEGER NOT NULL,
    PRIMARY KEY (ready_at, message_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
    consumer_id INTEGER NOT NULL,
    message_id  INTEGER NOT NULL,
    queue_id    INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL, -- this one included
    n_crashes   INTEGER NOT NULL,
    PRIMARY KEY (consumer_id, message_id)
) STRICT, WITHOUT ROWID;

-- Who has claims.  Never the same number twice: it is the fencing token of its claims.
CREATE TABLE consumers (
    consumer_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    boot_id     TEXT NOT NULL,
    live_inode  INTEGER NOT NULL, -- of the live file in which its byte is locked
    lease_until INTEGER NOT NULL,
    started_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE dead (
    dead_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    queue     TEXT NOT NULL,
    task_id   TEXT NOT NULL,
    priority  INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    n_crashes INTEGER NOT NULL,
    died_at   INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    body      BLOB NOT NULL
) STRICT;

CREATE TABLE revoked (
    task_id       TEXT PRIMARY KEY,
    revoked_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_until ON revoked (revoked_until);
