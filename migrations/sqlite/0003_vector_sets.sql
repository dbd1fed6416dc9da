-- Two sets of vectors, and what has changed in the one that is searched.

-- How the settings named a model when its vectors were made: where a query finds it again.
ALTER TABLE embedding_models ADD COLUMN location TEXT;

-- The set that is searched, and the one being made after the model was changed.  The columns embedded_*
-- of datasets belong to the newer of the two.
CREATE TABLE embedding_state (
    state_id          INTEGER PRIMARY KEY CHECK (state_id = 1),
    database_id       BLOB NOT NULL CHECK (length(database_id) = 16), -- what a file beside it belongs to
    active_model_id   INTEGER REFERENCES embedding_models (model_id),
    building_model_id INTEGER REFERENCES embedding_models (model_id)
) STRICT;

INSERT INTO embedding_state (state_id, database_id, active_model_id)
VALUES (1, randomblob(16),
        (SELECT embed_state FROM datasets WHERE embed_state > 0
          GROUP BY embed_state ORDER BY count(*) DESC LIMIT 1));

-- While a set is being made: the searched set's vectors of rows that have one of the new set.
CREATE TABLE dataset_vectors_before (
    row_id    INTEGER PRIMARY KEY REFERENCES datasets (row_id),
    model_id  INTEGER NOT NULL REFERENCES embedding_models (model_id),
    text_hash BLOB NOT NULL,
    vector    BLOB NOT NULL -- f32, little endian
) STRICT;

-- Rows that came into the searched set, left it or got another vector: each once, at its last change.
-- seq is never used twice; nonce tells two databases with one past apart.
CREATE TABLE vector_changes (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    row_id INTEGER NOT NULL UNIQUE,
    nonce  INTEGER NOT NULL DEFAULT (random())
) STRICT;

CREATE TRIGGER datasets_vector_changed
AFTER UPDATE OF is_active, enrichment_status, text_hash, embedded_hash, embedded_model_id ON datasets
WHEN old.embed_state IS NOT new.embed_state
BEGIN
    INSERT OR REPLACE INTO vector_changes (row_id) VALUES (new.row_id);
END;

CREATE TRIGGER datasets_vector_deleted AFTER DELETE ON datasets WHEN old.embed_state > 0
BEGIN
    INSERT OR REPLACE INTO vector_changes (row_id) VALUES (old.row_id);
END;
