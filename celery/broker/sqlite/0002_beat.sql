-- What beat remembers, in the broker's file so that a message and the slot it was sent for are one
-- transaction.  Slots and dates are UTC, in microseconds.

-- One row once anybody has led.  Whoever leads counts signs up; whoever sees no new sign for the
-- lease, on his own clock, takes the next term.
CREATE TABLE beat_leader (
    leader_id INTEGER PRIMARY KEY CHECK (leader_id = 1),
    term      INTEGER NOT NULL, -- the fencing token: never the same number twice
    owner     TEXT NOT NULL,    -- empty: nobody leads
    n_signs   INTEGER NOT NULL
) STRICT;

CREATE TABLE beat_entries (
    name      TEXT PRIMARY KEY,
    last_slot INTEGER NOT NULL, -- sent or passed over; at first the instant that the entry counts from
    n_runs    INTEGER NOT NULL,
    sent_at   INTEGER,          -- of the last run
    task_id   TEXT NOT NULL     -- of the last run
) STRICT, WITHOUT ROWID;

-- A slot that is here is never sent again.  The newest few thousand of each entry stay.
CREATE TABLE beat_slots (
    slot_key TEXT PRIMARY KEY,  -- "name@2026-03-29T01:00:00Z"
    name     TEXT NOT NULL,
    run      INTEGER NOT NULL,  -- n_runs of the entry after it
    task_id  TEXT NOT NULL,
    UNIQUE (name, run)
) STRICT, WITHOUT ROWID;
