-- Whether datasets can still be reached.  The state and the last check of a row stand in datasets
-- (link_state, last_checked_at); here is what the checker must remember to come to a verdict.

-- Rows in doubt, put off, or being checked at the moment: few.  A row that is well has none here, so
-- a pass over a million of them leaves this table small.  Times are microseconds since 1970, UTC.
CREATE TABLE dataset_links (
    row_id              INTEGER PRIMARY KEY REFERENCES datasets (row_id),
    gone_strikes        INTEGER NOT NULL DEFAULT 0, -- evidence of gone (404 ...); a 410 counts twice
    gone_strong_strikes INTEGER NOT NULL DEFAULT 0, -- of them, those that two of suffice
    gone_since          INTEGER,                    -- the first of them
    gone_strong_since   INTEGER,
    lost_strikes        INTEGER NOT NULL DEFAULT 0, -- evidence of unreachable (timeouts, 5xx ...)
    lost_since          INTEGER,
    gone_at             INTEGER, -- when the verdict gone fell
    next_at             INTEGER, -- not before; NULL = with the stalest rows
    lease_owner         TEXT,
    lease_until         INTEGER
) STRICT;

CREATE INDEX dataset_links_next ON dataset_links (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX dataset_links_lease ON dataset_links (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX dataset_links_gone ON dataset_links (gone_at) WHERE gone_at IS NOT NULL;

-- The stalest rows first; those never checked before all others.
CREATE INDEX datasets_checked ON datasets (coalesce(last_checked_at, 0), row_id) WHERE is_active;

-- What one host taught us, by its origin ("https://example.org:443").
CREATE TABLE link_hosts (
    origin          TEXT PRIMARY KEY,
    parked_until    INTEGER, -- it asked for a pause
    outage_since    INTEGER, -- too many of its links failed at once: no strikes meanwhile
    canary_at       INTEGER, -- when one link of it may be tried again
    canary_good_at  INTEGER, -- the last time that went well during this outage
    good_probes     INTEGER, -- first probes of its last good pass ...
    good_failures   INTEGER, -- ... and those of them that failed
    head_lies       INTEGER NOT NULL DEFAULT 0, -- HEAD failed where GET did not
    get_first_until INTEGER,
    updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
