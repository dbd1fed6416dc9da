/* The documents become rows of a source "eval"; services do the rest as in any catalogue. */

#include "cli/eval_documents.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/number.h"
#include "lib/services/ml/embedding_processor.h"
#include "lib/services/scoring/static_score_calculator.h"

#define DOCUMENT_ARENA_BYTES ((size_t)8 << 20)
#define BATCH_ROWS           INT64_C(100)

static struct str
first_text(const struct json *object, const struct str *names, size_t n_names)
{
    struct str text = STR_NULL;

    for (size_t i = 0; i < n_names && text.len == 0; i++)
        text = json_get_str(object, names[i]);
    return text;
}

static int64_t
get_count(const struct json *object, struct str name)
{
    const struct json *value = json_get_typed(object, name, JSON_NUMBER);
    int64_t count;

    if (!value || number_parse_i64(value->text, &count, NULL) < 0 || count < 0)
        return DATASET_UNKNOWN;
    return count;
}

static int
get_list(const struct json *object, struct str name, struct arena *arena, struct str_list *out,
         struct error *err)
{
    const struct json *value = json_get_typed(object, name, JSON_ARRAY);
    struct str *items;
    size_t n = 0;

    if (!value)
        return 0;
    items = arena_calloc(arena, value->array.n_items, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for a document");
    for (size_t i = 0; i < value->array.n_items && n < DATASET_LIST_ITEMS; i++) {
        if (value->array.items[i].type == JSON_STRING)
            items[n++] = value->array.items[i].text;
    }
    *out = (struct str_list){items, n};
    return 0;
}

static int
read_document(struct str line, struct arena *arena, struct dataset *row, struct error *err)
{
    static const struct str ids[] = {STR_INIT("_id"), STR_INIT("id"), STR_INIT("docid")};
    static const struct str texts[] = {STR_INIT("text"), STR_INIT("description")};
    struct json value;
    int rc = json_parse(line, NULL, arena, &value, err);

    if (rc < 0)
        return rc;
    dataset_init(row);
    row->source_name = STR("eval");
    row->source_key = first_text(&value, ids, COUNT_OF(ids));
    row->external_id = row->source_key;
    row->title = str_slice(json_get_str(&value, STR("title")), 0, DATASET_TITLE_BYTES);
    row->description =
        str_slice(first_text(&value, texts, COUNT_OF(texts)), 0, DATASET_DESCRIPTION_BYTES);
    row->license = json_get_str(&value, STR("license"));
    row->download_count = get_count(&value, STR("download_count"));
    row->like_count = get_count(&value, STR("like_count"));
    row->view_count = get_count(&value, STR("view_count"));
    row->status = DATASET_ENRICHED;
    if (row->external_id.len == 0)
        return error_set(err, ERR_INVALID, "a document without _id, id or docid");
    rc = get_list(&value, STR("tags"), arena, &row->tags, err);
    if (rc == 0)
        rc = get_list(&value, STR("file_formats"), arena, &row->file_formats, err);
    if (rc == 0)
        rc = get_list(&value, STR("column_names"), arena, &row->column_names, err);
    return rc;
}

static int
store_documents(struct container *app, struct str documents, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(DOCUMENT_ARENA_BYTES);
    int64_t now_us = clock_now_us(container_clock(app));
    struct dataset_repo *datasets;
    struct database *database;
    struct str line;
    size_t line_no = 0;
    int rc = container_get_datasets(app, CONTAINER_WRITES, &datasets, err);

    if (rc == 0)
        rc = container_get_database(app, CONTAINER_WRITES, &database, err);
    if (rc == 0)
        rc = database_begin(database, err);
    if (rc < 0)
        return rc;
    while (rc == 0 && str_split(&documents, '\n', &line)) {
        enum upsert_outcome outcome;
        struct dataset row;

        line_no++;
        arena_reset(&arena);
        if (str_trim(line).len == 0)
            continue;
        rc = read_document(str_trim(line), &arena, &row, err);
        if (rc == 0)
            rc = dataset_repo_upsert(datasets, &row, now_us, &outcome, err);
        if (rc < 0)
            rc = error_wrap(err, rc, "documents, line %zu", line_no);
    }
    if (rc == 0)
        rc = database_commit(database, err);
    if (rc < 0)
        database_rollback(database);
    return rc;
}

/* Vectors where there is a model; scores. */
static int
prepare(struct container *app, struct error *err)
{
    struct static_score_calculator *calculator;
    struct embedding_processor *processor;
    struct embedding_counts embedded;
    struct score_counts scored;
    struct embedder *embedder;
    int rc = 0;

    if (container_get_embedder(app, &embedder, NULL) == 0) { /* else search says why */
        rc = container_get_embedding_processor(app, &processor, err);
        if (rc == 0)
            rc = embedding_processor_run(processor, BATCH_ROWS, true, container_run(app), &embedded,
                                         err);
    }
    if (rc == 0)
        rc = container_get_static_score(app, &calculator, err);
    if (rc == 0)
        rc = static_score_calculator_run(calculator, BATCH_ROWS, container_run(app), &scored, err);
    return rc;
}

/* The settings as they are, but for the database. */
static int
create_config(const struct config *config, const char *database_path, struct config **out,
              struct error *err)
{
    struct config_flag flags[CONFIG_N_KEYS];
    struct config_options options = {.flags = flags, .n_flags = CONFIG_N_KEYS};

    for (size_t key = 0; key < CONFIG_N_KEYS; key++)
        flags[key] =
            (struct config_flag){(enum config_key)key, config_get(config, (enum config_key)key)};
    flags[CONFIG_DATABASE_URL].value = str_from_cstr(database_path);
    return config_create(&options, out, err);
}

int
eval_catalogue_open(struct cli *cli, struct str documents, struct eval_catalogue *out,
                    struct error *err)
{
    const char *root = getenv("TMPDIR");
    char path[sizeof(out->dir) + 16];
    int rc;

    *out = (struct eval_catalogue){.config = NULL};
    (void)snprintf(out->dir, sizeof(out->dir), "%.100s/trawl-eval-XXXXXX", root ? root : "/tmp");
    if (!mkdtemp(out->dir)) {
        rc = error_set_errno(err, "cannot make directory '%s'", out->dir);
        out->dir[0] = '\0';
        return rc;
    }
    (void)snprintf(path, sizeof(path), "%s/eval.db", out->dir);
    rc = create_config(cli->config, path, &out->config, err);
    if (rc == 0)
        rc = container_create(out->config, NULL, NULL, &out->app, err);
    if (rc == 0)
        rc = store_documents(out->app, documents, err);
    if (rc == 0)
        rc = prepare(out->app, err);
    if (rc < 0)
        eval_catalogue_close(out);
    return rc;
}

void
eval_catalogue_close(struct eval_catalogue *self)
{
    DIR *dir;
    struct dirent *entry;

    container_free(self->app);
    config_free(self->config);
    dir = self->dir[0] ? opendir(self->dir) : NULL;
    while (dir && (entry = readdir(dir))) /* flat, and ours */
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        (void)closedir(dir);
    if (self->dir[0])
        (void)rmdir(self->dir);
    *self = (struct eval_catalogue){.config = NULL};
}
