/* Listing: one index does the work, chosen here and not by the planner, which knows no figures;
 * what else is asked for is looked at row by row (a unary + keeps its index out).  Text is looked
 * for row by row, too: an index of all three-letter pieces costs each task more than it is worth
 * (docs/history.md has the figures). */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "celery/history/sqlite_internal.h"

#define MAX_VALUES     8
#define TEXT_MAX_BYTES 1024

/* The query as it grows, and what is bound to its $1, $2 ... */
struct query {
    struct buf *sql;
    struct str texts[MAX_VALUES];
    int64_t numbers[MAX_VALUES]; /* where texts is absent */
    int n_values;
};

static bool
is_pattern(struct str name)
{
    return str_find(name, STR("*")) < name.len || str_find(name, STR("?")) < name.len;
}

/* before, a parameter, behind. */
static void
add_text(struct query *query, const char *before, struct str value, const char *behind)
{
    buf_printf(query->sql, "%s$%d%s", before, query->n_values + 1, behind);
    query->texts[query->n_values++] = value;
}

static void
add_number(struct query *query, const char *before, int64_t value)
{
    buf_printf(query->sql, "%s$%d", before, query->n_values + 1);
    query->texts[query->n_values] = STR_NULL;
    query->numbers[query->n_values++] = value;
}

/* Columns of words; with_index: this one's is to be used. */
static void
add_word(struct query *query, const char *column, const char *test, struct str value,
         bool with_index)
{
    buf_printf(query->sql, " AND %s%s %s (SELECT word_id FROM words WHERE text ",
               with_index ? "" : "+", column, strcmp(test, "GLOB") == 0 ? "IN" : "=");
    add_text(query, strcmp(test, "GLOB") == 0 ? "GLOB " : "= ", value, ")");
}

static void
add_conditions(struct query *query, const struct history_filter *filter)
{
    bool is_exact = filter->name.ptr && !is_pattern(filter->name);
    bool is_failure = filter->state.ptr && !str_equal(filter->state, STR("SUCCESS"));

    if (is_failure)
        add_text(query, " AND state <> 'SUCCESS' AND state = ", filter->state, "");
    else if (filter->state.ptr)
        add_text(query, " AND +state = ", filter->state, "");
    if (is_exact) /* its index has the state beside it */
        add_word(query, "name", "=", filter->name, true);
    else if (filter->name.ptr)
        add_word(query, "name", "GLOB", filter->name, false);
    if (filter->worker.ptr)
        add_word(query, "worker", "=", filter->worker, !is_failure && !is_exact);
    if (filter->queue.ptr)
        add_word(query, "queue", "=", filter->queue,
                 !is_failure && !is_exact && !filter->worker.ptr);
    if (filter->since_us != INT64_MIN)
        add_number(query, " AND at >= ", filter->since_us);
    if (filter->until_us != INT64_MIN)
        add_number(query, " AND at < ", filter->until_us);
}

/* The same text at the same address, for ever. */
static int
keep_sql(struct sqlite_history *self, const char *sql, const char **out, struct error *err)
{
    for (size_t i = 0; i < self->n_lists; i++) {
        if (strcmp(self->lists[i], sql) == 0) {
            *out = self->lists[i];
            return 0;
        }
    }
    assert(self->n_lists < COUNT_OF(self->lists));
    self->lists[self->n_lists] = strdup(sql);
    if (!self->lists[self->n_lists])
        return error_set(err, ERR_NOMEM, "no memory for a query");
    *out = self->lists[self->n_lists++];
    return 0;
}

/* A pattern that fits one name is that name: its index is worth a look at all of them. */
static int
settle_pattern(struct sqlite_history *self, struct history_filter *filter, struct buf *name,
               struct error *err)
{
    static const char sql[] = "SELECT text FROM words WHERE text GLOB $1 LIMIT 2";
    struct statement *statement;
    int rc;

    if (!filter->name.ptr || !is_pattern(filter->name))
        return 0;
    rc = database_prepare(self->database, sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, filter->name);
    rc = statement_step(statement, err);
    if (rc == 1)
        buf_append(name, statement_str(statement, 0));
    if (rc == 1)
        rc = statement_step(statement, err);
    if (rc == 0 && name->len > 0 && !is_pattern(buf_str(name)))
        filter->name = buf_str(name);
    statement_reset(statement);
    return rc < 0 ? rc : buf_status(name, err);
}

static int
prepare_list(struct sqlite_history *self, const struct history_filter *filter,
             struct statement **out, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(16384);
    struct query query = {.sql = &text};
    const char *sql = NULL;
    int rc;

    buf_append(&text,
               STR("SELECT task_id, (SELECT text FROM words WHERE word_id = name), (SELECT text"
                   " FROM words WHERE word_id = queue), (SELECT text FROM words WHERE word_id ="
                   " worker), state, root_id, parent_id, group_id, args, kwargs, at, received_at,"
                   " started_at, runtime, pid, retries, attempt, flags, row_id FROM tasks"
                   " WHERE 1"));
    add_conditions(&query, filter);
    buf_append(&text, STR(" ORDER BY at DESC"));
    rc = buf_status(&text, err);
    if (rc == 0)
        rc = keep_sql(self, buf_cstr(&text), &sql, err);
    if (rc == 0)
        rc = database_prepare(self->database, sql, out, err);
    for (int i = 0; rc == 0 && i < query.n_values; i++) {
        if (query.texts[i].ptr)
            statement_bind_str(*out, i + 1, query.texts[i]);
        else
            statement_bind_i64(*out, i + 1, query.numbers[i]);
    }
    return rc;
}

/* The two ways in which JSON has a text: as it is, and with \u00e9 for e acute. */
struct needle {
    struct str plain;
    struct str escaped;
    struct buf quoted;
};

static void
make_needle(struct str text, struct needle *out)
{
    buf_init(&out->quoted, 8 * TEXT_MAX_BYTES);
    json_append_quoted(&out->quoted, text, JSON_STYLE_PYTHON);
    out->plain = text;
    out->escaped = str_slice(buf_str(&out->quoted), 1, out->quoted.len - 1);
}

static bool
has_text(const struct needle *needle, struct str arguments)
{
    return str_find(arguments, needle->plain) < arguments.len ||
           (needle->escaped.len != needle->plain.len &&
            str_find(arguments, needle->escaped) < arguments.len);
}

static void
read_row(const struct statement *statement, struct arena *arena, struct history_record *out,
         bool *ok)
{
    struct str *const texts[] = {&out->task_id, &out->name,    &out->queue,     &out->worker,
                                 &out->state,   &out->root_id, &out->parent_id, &out->group_id,
                                 &out->args,    &out->kwargs};
    int64_t *const numbers[] = {
        &out->at_us, &out->received_at_us, &out->started_at_us, &out->runtime_us,
        &out->pid,   &out->retries,        &out->attempt,       &out->flags};

    *out = (struct history_record){0};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = arena_dup(arena, statement_str(statement, (int)i), ok);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        *numbers[i] = statement_i64(statement, (int)(COUNT_OF(texts) + i));
    if (!out->root_id.ptr)
        out->root_id = out->task_id;
}

/* What it came to, for the rows that are shown. */
static int
read_outcome(struct sqlite_history *self, int64_t row_id, struct arena *arena,
             struct history_record *out, struct error *err)
{
    static const char sql[] = "SELECT result, error, n_dropped FROM details WHERE row_id = $1";
    struct statement *statement;
    bool ok = true;
    int rc = database_prepare(self->database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    rc = statement_step(statement, err);
    if (rc == 1) {
        out->result = arena_dup(arena, statement_str(statement, 0), &ok);
        out->error = arena_dup(arena, statement_str(statement, 1), &ok);
        out->n_dropped = statement_i64(statement, 2);
    }
    statement_reset(statement);
    return rc < 0 ? rc : ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a list of tasks");
}

static int
read_rows(struct sqlite_history *self, struct statement *statement,
          const struct history_filter *filter, const struct needle *needle, struct arena *arena,
          struct history_list *out, struct error *err)
{
    size_t n_seen = 0;
    bool ok = true;
    int rc = 0;

    while (out->n_items < filter->limit && (rc = statement_step(statement, err)) == 1) {
        struct history_record *item = &out->items[out->n_items];

        if (filter->text.len && n_seen++ == HISTORY_SEARCH_MAX) {
            out->searched_to_us = statement_i64(statement, 10);
            break;
        }
        if (filter->text.len && !has_text(needle, statement_str(statement, 8)) &&
            !has_text(needle, statement_str(statement, 9)))
            continue;
        read_row(statement, arena, item, &ok);
        if (!ok)
            return error_set(err, ERR_NOMEM, "no memory for a list of tasks");
        out->n_items++;
        rc = read_outcome(self, statement_i64(statement, 18), arena, item, err);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

int
sqlite_history_list(struct history *history, const struct history_filter *wanted,
                    struct arena *arena, struct history_list *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf name = BUF_INIT(2 * HISTORY_NAME_BYTES);
    struct sqlite_history *self = sqlite_history_from(history);
    struct history_filter own = *wanted;
    const struct history_filter *filter = &own;
    struct history_list list = {.searched_to_us = INT64_MIN};
    struct needle needle;
    struct statement *statement;
    int rc;

    if (filter->text.len > TEXT_MAX_BYTES)
        return error_set(err, ERR_ARGS, "a text to look for has at most %d bytes, got %zu",
                         TEXT_MAX_BYTES, filter->text.len);
    list.items = arena_calloc(arena, filter->limit, sizeof(*list.items));
    if (!list.items)
        return error_set(err, ERR_NOMEM, "no memory for a list of %zu tasks", filter->limit);
    rc = settle_pattern(self, &own, &name, err);
    if (rc == 0)
        rc = prepare_list(self, filter, &statement, err);
    if (rc < 0)
        return rc;
    make_needle(filter->text, &needle);
    rc = buf_status(&needle.quoted, err);
    if (rc == 0)
        rc = read_rows(self, statement, filter, &needle, arena, &list, err);
    statement_reset(statement);
    buf_fini(&needle.quoted);
    if (rc == 0)
        *out = list;
    return rc;
}
