-- The static score of each dataset: what of it is known before anybody asks.  The score itself stands
-- in datasets.static_score; here are its parts, the tables that it was made with, and what is to be
-- scored again.  Times are microseconds since 1970, UTC.

CREATE TABLE dataset_scores (
    row_id       INTEGER PRIMARY KEY REFERENCES datasets (row_id) ON DELETE CASCADE,
    static_score REAL NOT NULL,
    popularity   REAL NOT NULL,
    quality      REAL NOT NULL,
    freshness    REAL NOT NULL,
    gate         REAL NOT NULL,
    formula      INTEGER NOT NULL, -- its version
    computed_at  INTEGER NOT NULL,
    next_at      INTEGER NOT NULL, -- when it has aged: freshness, or the next age class
    source_name  TEXT NOT NULL,    -- with age_class: the tables that were used
    age_class    INTEGER NOT NULL
) STRICT;

-- A counter's percentile table for the rows of one source and age class: share of the rows that have
-- at most so many, among those that have any.
CREATE TABLE score_knots (
    source_name TEXT NOT NULL,
    age_class   INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    value       INTEGER NOT NULL,
    share       REAL NOT NULL,
    PRIMARY KEY (source_name, age_class, counter, value)
) STRICT, WITHOUT ROWID;

-- Rows that wait for a score; they stay until they have one, so a run that dies loses nothing.  New
-- rows need no trigger: they are those without a row in dataset_scores.
CREATE TABLE score_queue (
    row_id INTEGER PRIMARY KEY REFERENCES datasets (row_id) ON DELETE CASCADE
) STRICT;

-- One trigger for each statement that writes what a score is made of, so that an update of counters
-- does not read texts.
CREATE TRIGGER datasets_score_numbers
AFTER UPDATE OF download_count ON datasets
WHEN old.download_count IS NOT new.download_count OR old.like_count IS NOT new.like_count
  OR old.view_count IS NOT new.view_count OR old.source_updated_at IS NOT new.source_updated_at
  OR old.source_created_at IS NOT new.source_created_at
  OR old.total_size_bytes IS NOT new.total_size_bytes OR old.row_count IS NOT new.row_count
  OR old.source_meta IS NOT new.source_meta
BEGIN
    INSERT OR IGNORE INTO score_queue (row_id) VALUES (new.row_id);
END;

CREATE TRIGGER datasets_score_texts
AFTER UPDATE OF text_hash ON datasets
WHEN old.text_hash IS NOT new.text_hash OR old.license IS NOT new.license
  OR old.tags IS NOT new.tags OR old.file_formats IS NOT new.file_formats
  OR old.column_names IS NOT new.column_names OR old.external_id IS NOT new.external_id
BEGIN
    INSERT OR IGNORE INTO score_queue (row_id) VALUES (new.row_id);
END;

CREATE TRIGGER datasets_score_link
AFTER UPDATE OF link_state ON datasets
WHEN old.link_state IS NOT new.link_state
BEGIN
    INSERT OR IGNORE INTO score_queue (row_id) VALUES (new.row_id);
END;

-- Without words, the best rows come first, and the newest of those without a score after them.  By
-- thousandths: within one the entries grow at one end, so that scoring a million rows does not write
-- to every page of the index again and again.
DROP INDEX datasets_top;
CREATE INDEX datasets_top ON datasets
    (CAST(static_score * 1000 AS INTEGER) DESC, row_id DESC, is_active, total_size_bytes,
     source_updated_at);
