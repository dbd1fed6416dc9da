/* Upsert: find the row by its source's key, merge, write only what a change touches.
 *
 * Two UPDATEs, because SQLite rewrites the entry of every index whose columns are named, changed or
 * not, and the usual change from one day to the next is a counter. */

#include "base/buf.h"
#include "lib/repositories/dataset_sqlite.h"

_Static_assert(DATASET_UNKNOWN == DATABASE_NULL, "unknown numbers are stored as NULL");

#define KEY_BYTES ((size_t)960) /* source_name, ":" and source_key: what an id is made of */

static const char find_key_sql[] =
    "SELECT " DATASET_COLUMNS " FROM datasets WHERE source_name = $1 AND source_key = $2";

static const char insert_sql[] =
    "INSERT INTO datasets (id, source_name, source_key, external_id, title, url, license,"
    " description, tags, file_formats, column_names, total_size_bytes, row_count, download_count,"
    " view_count, like_count, source_created_at, source_updated_at, source_meta,"
    " enrichment_status, is_active, last_enriched_at, text_hash, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
    " $19, $20, $21, $22, $23, $24, $24) RETURNING row_id";

static const char update_numbers_sql[] =
    "UPDATE datasets SET total_size_bytes = $1, row_count = $2, download_count = $3,"
    " view_count = $4, like_count = $5, source_created_at = $6, source_updated_at = $7,"
    " source_meta = $8, last_enriched_at = $9, updated_at = $10 WHERE row_id = $11";

static const char update_wide_sql[] =
    "UPDATE datasets SET external_id = $1, title = $2, url = $3, license = $4, description = $5,"
    " tags = $6, file_formats = $7, column_names = $8, enrichment_status = $9, is_active = $10,"
    " link_state = $11, next_attempt_at = $12, last_enrichment_error = $13, text_hash = $14,"
    " last_enriched_at = $15, updated_at = $16 WHERE row_id = $17";

/* The name now belongs to another dataset: whoever held it is gone from under it. */
static const char retire_sql[] =
    "UPDATE datasets SET is_active = 0, link_state = 'gone', updated_at = $1"
    " WHERE external_id = $2 COLLATE NOCASE AND source_name = $3 AND external_id = $2"
    " AND is_active AND row_id <> $4";

static int
retire_namesakes(struct sqlite_repo *repo, const struct dataset *dataset, int64_t now_us,
                 struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, retire_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, now_us);
    statement_bind_str(statement, 2, dataset->external_id);
    statement_bind_str(statement, 3, dataset->source_name);
    statement_bind_i64(statement, 4, dataset->row_id);
    return statement_run(statement, NULL, err);
}

/* Bind the seven numbers and source_meta from $first on. */
static void
bind_numbers(struct statement *statement, int first, const struct dataset *dataset)
{
    statement_bind_i64(statement, first, dataset->total_size_bytes);
    statement_bind_i64(statement, first + 1, dataset->row_count);
    statement_bind_i64(statement, first + 2, dataset->download_count);
    statement_bind_i64(statement, first + 3, dataset->view_count);
    statement_bind_i64(statement, first + 4, dataset->like_count);
    statement_bind_i64(statement, first + 5, dataset->source_created_at_us);
    statement_bind_i64(statement, first + 6, dataset->source_updated_at_us);
    statement_bind_str(statement, first + 7, dataset->source_meta);
}

/* Bind the texts and lists from $first on, external_id to column_names. */
static void
bind_texts(struct statement *statement, int first, const struct dataset_record *record)
{
    const struct dataset *dataset = &record->dataset;

    statement_bind_str(statement, first, dataset->external_id);
    statement_bind_str(statement, first + 1, dataset->title);
    statement_bind_str(statement, first + 2, dataset->url);
    statement_bind_str(statement, first + 3, dataset->license);
    statement_bind_str(statement, first + 4, dataset->description);
    statement_bind_str(statement, first + 5, record->tags);
    statement_bind_str(statement, first + 6, record->file_formats);
    statement_bind_str(statement, first + 7, record->column_names);
}

static int
update_numbers(struct sqlite_repo *repo, const struct dataset *dataset, int64_t now_us,
               struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, update_numbers_sql, &statement, err);

    if (rc < 0)
        return rc;
    bind_numbers(statement, 1, dataset);
    statement_bind_i64(statement, 9, dataset->last_enriched_at_us);
    statement_bind_i64(statement, 10, now_us);
    statement_bind_i64(statement, 11, dataset->row_id);
    return statement_run(statement, NULL, err);
}

static int
update_wide(struct sqlite_repo *repo, const struct dataset_record *record, int64_t now_us,
            struct error *err)
{
    const struct dataset *dataset = &record->dataset;
    unsigned char hash[DATASET_HASH_BYTES];
    struct statement *statement;
    int rc = dataset_text_hash(dataset, hash, err);

    if (rc == 0)
        rc = database_prepare(repo->database, update_wide_sql, &statement, err);
    if (rc < 0)
        return rc;
    bind_texts(statement, 1, record);
    statement_bind_str(statement, 9, str_from_cstr(dataset_status_name(dataset->status)));
    statement_bind_i64(statement, 10, dataset->is_active);
    statement_bind_str(statement, 11, dataset->link_state);
    statement_bind_i64(statement, 12, dataset->next_attempt_at_us);
    statement_bind_str(statement, 13, dataset->last_enrichment_error);
    statement_bind_blob(statement, 14, (struct str){(const char *)hash, sizeof(hash)});
    statement_bind_i64(statement, 15, dataset->last_enriched_at_us);
    statement_bind_i64(statement, 16, now_us);
    statement_bind_i64(statement, 17, dataset->row_id);
    return statement_run(statement, NULL, err);
}

int
dataset_record_update(struct sqlite_repo *repo, const struct dataset_record *record,
                      unsigned changes, int64_t now_us, struct error *err)
{
    const struct dataset *dataset = &record->dataset;
    int rc = 0;

    if (changes & CHANGE_KEYWORDS)
        rc = keyword_index_note_change(repo->database, dataset->row_id, err);
    if (rc == 0 && (changes & CHANGE_NAME) && dataset->is_active)
        rc = retire_namesakes(repo, dataset, now_us, err);
    if (rc == 0 && (changes & CHANGE_NUMBERS))
        rc = update_numbers(repo, dataset, now_us, err);
    if (rc == 0 && (changes & CHANGE_WIDE))
        rc = update_wide(repo, record, now_us, err);
    return rc;
}

/* What an upsert may change beside the source's own fields. */
static void
raise_state(struct dataset *stored, const struct dataset *row, int64_t now_us, unsigned *changes)
{
    bool can_rise = stored->status == DATASET_MINIMAL || stored->status == DATASET_PENDING ||
                    stored->status == DATASET_FAILED;

    if (row->status == DATASET_ENRICHED && can_rise) {
        stored->status = DATASET_ENRICHED;
        stored->last_enrichment_error = STR_NULL;
        stored->next_attempt_at_us = DATASET_UNKNOWN;
        *changes |= CHANGE_WIDE;
    }
    if (row->is_active && !stored->is_active)
        stored->link_state = STR_NULL;
    if (row->is_active != stored->is_active) {
        stored->is_active = row->is_active;
        *changes |= CHANGE_WIDE | CHANGE_NAME;
    }
    if (row->status == DATASET_ENRICHED && *changes)
        stored->last_enriched_at_us = now_us;
}

static int
make_id(const struct dataset *row, unsigned char out[DATASET_ID_BYTES], struct error *err)
{
    CLEANUP(buf_fini) struct buf name = BUF_INIT(KEY_BYTES);
    char text[UUID_TEXT_BYTES];
    int rc;

    buf_append(&name, row->source_name);
    buf_append_char(&name, ':');
    buf_append(&name, row->source_key);
    rc = buf_status(&name, err);
    if (rc == 0)
        rc = uuid_from_name(buf_str(&name), text, err);
    if (rc == 0)
        dataset_id_decode(str_from_cstr(text), out);
    return rc;
}

static int
run_insert(struct statement *statement, int64_t *out_row_id, struct error *err)
{
    int rc = statement_step(statement, err);

    if (rc == 1) {
        *out_row_id = statement_i64(statement, 0);
        rc = 0;
    }
    statement_reset(statement);
    return rc;
}

static int
insert_record(struct sqlite_repo *repo, const struct dataset_record *record, int64_t now_us,
              struct error *err)
{
    const struct dataset *dataset = &record->dataset;
    unsigned char id[DATASET_ID_BYTES];
    unsigned char hash[DATASET_HASH_BYTES];
    struct statement *statement;
    int64_t row_id = 0;
    int rc = make_id(dataset, id, err);

    if (rc == 0)
        rc = dataset_text_hash(dataset, hash, err);
    if (rc == 0 && dataset->is_active)
        rc = retire_namesakes(repo, dataset, now_us, err);
    if (rc == 0)
        rc = database_prepare(repo->database, insert_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_blob(statement, 1, (struct str){(const char *)id, sizeof(id)});
    statement_bind_str(statement, 2, dataset->source_name);
    statement_bind_str(statement, 3, dataset->source_key);
    bind_texts(statement, 4, record);
    bind_numbers(statement, 12, dataset);
    statement_bind_str(statement, 20, str_from_cstr(dataset_status_name(dataset->status)));
    statement_bind_i64(statement, 21, dataset->is_active);
    statement_bind_i64(statement, 22,
                       dataset->status == DATASET_ENRICHED ? now_us : DATASET_UNKNOWN);
    statement_bind_blob(statement, 23, (struct str){(const char *)hash, sizeof(hash)});
    statement_bind_i64(statement, 24, now_us);
    rc = run_insert(statement, &row_id, err);
    return rc < 0 ? rc : keyword_index_note_insert(repo->database, row_id, err);
}

/* 1 when the row is there, 0 when not. */
static int
find_by_key(struct sqlite_repo *repo, const struct dataset *row, struct dataset_record *out,
            struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(repo->database, find_key_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, row->source_name);
    statement_bind_str(statement, 2, row->source_key);
    rc = statement_step(statement, err);
    if (rc == 1) {
        rc = dataset_record_read(statement, &repo->scratch, out, err);
        rc = rc < 0 ? rc : 1;
    }
    statement_reset(statement);
    return rc;
}

static int
upsert_in_transaction(struct sqlite_repo *repo, const struct dataset *row, int64_t now_us,
                      enum upsert_outcome *outcome, struct error *err)
{
    struct dataset_record record;
    unsigned changes;
    int found = find_by_key(repo, row, &record, err);
    int rc;

    if (found < 0)
        return found;
    if (!found) {
        record = (struct dataset_record){.dataset = {.row_id = 0}};
        dataset_init(&record.dataset);
        record.dataset.source_name = row->source_name;
        record.dataset.source_key = row->source_key;
        record.dataset.status = row->status;
        record.dataset.is_active = row->is_active;
    }
    rc = dataset_merge(&record, row, &repo->scratch, &changes, err);
    if (rc < 0)
        return rc;
    if (!found) {
        *outcome = UPSERT_INSERTED;
        return insert_record(repo, &record, now_us, err);
    }
    raise_state(&record.dataset, row, now_us, &changes);
    *outcome = changes ? UPSERT_UPDATED : UPSERT_UNCHANGED;
    return changes ? dataset_record_update(repo, &record, changes, now_us, err) : 0;
}

static int
check_identity(const struct dataset *row, struct error *err)
{
    if (row->source_name.len == 0 || row->external_id.len == 0 || row->source_key.len == 0)
        return error_set(err, ERR_INVALID,
                         "a dataset needs source_name, external_id and source_key:"
                         " '%.*s', '%.*s', '%.*s'",
                         STR_ARG(str_slice(row->source_name, 0, 40)),
                         STR_ARG(str_slice(row->external_id, 0, 80)),
                         STR_ARG(str_slice(row->source_key, 0, 80)));
    if (row->source_name.len + row->source_key.len >= KEY_BYTES)
        return error_set(err, ERR_TOO_LARGE, "source_name and source_key of %zu bytes",
                         row->source_name.len + row->source_key.len);
    if (row->status != DATASET_MINIMAL && row->status != DATASET_ENRICHED)
        return error_set(err, ERR_INVALID, "a source's row is minimal or enriched, not %s",
                         dataset_status_name(row->status));
    return 0;
}

int
sqlite_upsert(struct dataset_repo *self, const struct dataset *row, int64_t now_us,
              enum upsert_outcome *out, struct error *err)
{
    struct sqlite_repo *repo = sqlite_repo_of(self);
    enum upsert_outcome outcome = UPSERT_UNCHANGED;
    struct scope scope;
    int rc = check_identity(row, err);

    if (rc == 0)
        rc = dataset_check_row(row, err);
    if (rc == 0)
        rc = scope_begin(&scope, repo->database, err);
    if (rc < 0)
        return rc;
    arena_reset(&repo->scratch);
    rc = upsert_in_transaction(repo, row, now_us, &outcome, err);
    rc = scope_end(&scope, rc, err);
    if (rc == 0)
        *out = outcome;
    return rc;
}
