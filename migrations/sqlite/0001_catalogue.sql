-- The catalogue.  Times are microseconds since 1970, UTC; lists are JSON arrays of texts.
-- Written for a million rows: every query of lib/repositories has its index here.

CREATE TABLE embedding_models (
    model_id INTEGER PRIMARY KEY CHECK (model_id > 0),
    name     TEXT NOT NULL UNIQUE
) STRICT;

-- Small columns stand first: SQLite reads a row from its start and follows overflow pages only as far
-- as it must.  id is a blob: half the index of the text form, and its order is random anyway.
CREATE TABLE datasets (
    row_id              INTEGER PRIMARY KEY,
    id                  BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    source_name         TEXT NOT NULL,
    source_key          TEXT NOT NULL,
    external_id         TEXT NOT NULL,
    enrichment_status   TEXT NOT NULL CHECK (enrichment_status IN
                            ('minimal', 'enriching', 'enriched', 'pending', 'failed', 'skipped')),
    is_active           INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    enrichment_attempts INTEGER NOT NULL DEFAULT 0,
    lease_owner         TEXT,
    lease_until         INTEGER,
    next_attempt_at     INTEGER,
    last_enriched_at    INTEGER,
    last_checked_at     INTEGER,
    link_state          TEXT,
    static_score        REAL,
    text_hash           BLOB NOT NULL,
    embedded_hash       BLOB,
    embedded_model_id   INTEGER REFERENCES embedding_models (model_id),
    total_size_bytes    INTEGER,
    row_count           INTEGER,
    download_count      INTEGER,
    view_count          INTEGER,
    like_count          INTEGER,
    source_created_at   INTEGER,
    source_updated_at   INTEGER,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    last_enrichment_error TEXT,
    title               TEXT,
    url                 TEXT,
    license             TEXT,
    file_formats        TEXT,
    tags                TEXT,
    column_names        TEXT,
    description         TEXT,
    source_meta         TEXT,
    -- The vector belongs to the present text.
    is_embedded INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(embedded_hash = text_hash, 0)) VIRTUAL,
    -- When the row may be claimed for enrichment; NULL while it does not wait for it.
    enrich_at INTEGER GENERATED ALWAYS AS (
        CASE WHEN is_active THEN
            CASE enrichment_status WHEN 'minimal' THEN coalesce(next_attempt_at, 0)
                                   WHEN 'pending' THEN coalesce(next_attempt_at, 0)
                                   WHEN 'enriching' THEN lease_until END
        END) VIRTUAL,
    -- The model of the present text's vector, 0 without one; NULL while the row is not to be embedded.
    embed_state INTEGER GENERATED ALWAYS AS (
        CASE WHEN is_active AND enrichment_status = 'enriched' THEN
            CASE WHEN embedded_hash = text_hash THEN embedded_model_id ELSE 0 END
        END) VIRTUAL,
    UNIQUE (source_name, source_key)
) STRICT;

-- One active row per (source_name, external_id); rows that are gone keep the name they had.  The same
-- index finds an external_id of any source in any case.
CREATE UNIQUE INDEX datasets_external_id ON datasets
    (external_id COLLATE NOCASE, source_name, external_id,
     CASE WHEN is_active THEN 0 ELSE row_id END);

CREATE INDEX datasets_enrich ON datasets (source_name, enrich_at) WHERE enrich_at IS NOT NULL;
CREATE INDEX datasets_embed ON datasets (embed_state) WHERE embed_state IS NOT NULL;
CREATE INDEX datasets_lease ON datasets (lease_owner) WHERE lease_owner IS NOT NULL;

-- Counting by source and status: ranges of a narrow index.
CREATE INDEX datasets_status ON datasets (source_name, enrichment_status, is_active, is_embedded);

-- The filters' columns in row order, so that a scan does not read descriptions.
CREATE INDEX datasets_scan ON datasets (row_id, is_active, total_size_bytes, source_updated_at);

-- Without words, the most downloaded rows come first.
CREATE INDEX datasets_top ON datasets
    (download_count DESC, source_updated_at DESC, row_id, is_active, total_size_bytes);

CREATE TABLE dataset_vectors (
    row_id    INTEGER PRIMARY KEY REFERENCES datasets (row_id),
    model_id  INTEGER NOT NULL REFERENCES embedding_models (model_id),
    text_hash BLOB NOT NULL,
    vector    BLOB NOT NULL -- f32, little endian
) STRICT;

-- What is searched.  facets serves exact filters: one token for each of source, licence (ASCII case
-- folded), format and tag: a letter for the field, the value's bytes in hex, and an x that keeps the
-- stemmer away.  For lists the bytes are those of the JSON text, cut at its '","' (hex 222C22), which
-- valid JSON and UTF-8 have nowhere else.  (No json_each: FTS5 refuses virtual tables in its content.)
CREATE VIEW dataset_texts AS
SELECT row_id, title, description,
       substr(external_id, 1, max(instr(external_id, '/') - 1, 0)) AS owner,
       tags, column_names AS columns,
       's' || hex(source_name) || 'x'
       || CASE WHEN license <> '' THEN ' l' || hex(lower(license)) || 'x' ELSE '' END
       || CASE WHEN length(file_formats) > 2 THEN
              ' f' || replace(substr(hex(file_formats), 5, length(hex(file_formats)) - 8),
                              '222C22', 'x f') || 'x'
          ELSE '' END
       || CASE WHEN length(tags) > 2 THEN
              ' t' || replace(substr(hex(tags), 5, length(hex(tags)) - 8), '222C22', 'x t') || 'x'
          ELSE '' END AS facets
  FROM datasets;

-- The index keeps no text of its own and can be made again from the view:
-- INSERT INTO datasets_fts (datasets_fts) VALUES ('rebuild').
CREATE VIRTUAL TABLE datasets_fts USING fts5 (
    title, description, owner, tags, columns, facets,
    content = 'dataset_texts', content_rowid = 'row_id',
    tokenize = 'porter unicode61 remove_diacritics 2');

-- A batch of a thousand rows is gathered whole before it is written, and merging waits for twice the
-- usual number of segments: harvests write often, and a search can look into eight.
INSERT INTO datasets_fts (datasets_fts, rank) VALUES ('hashsize', 8388608);
INSERT INTO datasets_fts (datasets_fts, rank) VALUES ('automerge', 8);

CREATE TABLE dataset_enrichment_logs (
    log_id         INTEGER PRIMARY KEY,
    dataset_row_id INTEGER NOT NULL REFERENCES datasets (row_id),
    at             INTEGER NOT NULL,
    stage          TEXT NOT NULL,
    result         TEXT NOT NULL,
    attempt        INTEGER,
    duration_ms    INTEGER,
    error_type     TEXT,
    error_message  TEXT,
    worker_id      TEXT,
    task_id        TEXT
) STRICT;

CREATE INDEX dataset_enrichment_logs_dataset ON dataset_enrichment_logs (dataset_row_id);
CREATE INDEX dataset_enrichment_logs_at ON dataset_enrichment_logs (at);

CREATE TABLE source_state (
    source_name     TEXT NOT NULL,
    stream          TEXT NOT NULL,
    cursor          TEXT,
    watermark       INTEGER,
    walk_started_at INTEGER,
    etag            TEXT,
    detail          TEXT,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (source_name, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run_id        INTEGER PRIMARY KEY,
    task_id       TEXT,
    task_name     TEXT NOT NULL,
    arguments     TEXT,
    state         TEXT NOT NULL,
    result        TEXT,
    error_type    TEXT,
    error_message TEXT,
    worker_id     TEXT,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER
) STRICT;

CREATE INDEX runs_task ON runs (task_name);

CREATE TABLE run_rejects (
    reject_id   INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES runs (run_id),
    source      TEXT NOT NULL,
    record      INTEGER,
    byte_offset INTEGER,
    reason      TEXT NOT NULL
) STRICT;

CREATE INDEX run_rejects_run ON run_rejects (run_id);
