-- The mailbox's file.  Letters go round by number: who listens remembers the last that it has seen.
-- Nobody marks them as read; who writes removes what is a minute old.

-- Who hears what.  The byte of its number is locked in the live file as long as its process lives.
CREATE TABLE listeners (
    listener_id INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange    TEXT NOT NULL,
    routing_key TEXT,          -- NULL: all broadcasts of the exchange
    queue       TEXT NOT NULL  -- its name, for people
) STRICT;

-- Never the same number twice, so that nobody mistakes a new letter for one it has seen.
CREATE TABLE letters (
    letter_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange    TEXT NOT NULL,
    routing_key TEXT,             -- NULL: a broadcast
    sent_at     INTEGER NOT NULL, -- UTC, microseconds
    body        BLOB NOT NULL
) STRICT;
