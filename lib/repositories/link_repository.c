/* Table dataset_links, and what of datasets belongs to it.
 *
 * A claim makes a row in dataset_links, which is where the lease stands; a verdict without doubt
 * removes it. */

#include "lib/repositories/link_repository.h"

#include "lib/repositories/row_list.h"

#define CLAIM_MAX ((size_t)100000)

_Static_assert(LINK_NEVER == DATABASE_NULL, "times that never were are stored as NULL");

static const char find_due_sql[] =
    "SELECT l.row_id FROM dataset_links l JOIN datasets d ON d.row_id = l.row_id"
    " WHERE l.next_at <= $1 AND coalesce(l.lease_until, 0) <= $1"
    " AND (d.is_active OR d.link_state = 'gone') ORDER BY l.next_at, l.row_id LIMIT $2";

static const char find_stale_sql[] =
    "SELECT d.row_id FROM datasets d WHERE d.is_active AND coalesce(d.last_checked_at, 0) <= $1"
    " AND NOT EXISTS (SELECT 1 FROM dataset_links l WHERE l.row_id = d.row_id"
    " AND (l.next_at IS NOT NULL OR l.lease_until > $2))"
    " ORDER BY coalesce(d.last_checked_at, 0), d.row_id LIMIT $3";

static const char lease_sql[] =
    "INSERT INTO dataset_links (row_id, lease_owner, lease_until) VALUES ($1, $2, $3)"
    " ON CONFLICT (row_id) DO UPDATE SET lease_owner = excluded.lease_owner,"
    " lease_until = excluded.lease_until";

static const char read_sql[] =
    "SELECT d.row_id, d.source_name, d.external_id, d.url, d.link_state, d.last_checked_at,"
    " l.next_at, l.gone_at, l.gone_strikes, l.gone_strong_strikes, l.gone_since,"
    " l.gone_strong_since, l.lost_strikes, l.lost_since"
    " FROM datasets d JOIN dataset_links l ON l.row_id = d.row_id WHERE d.row_id = $1";

#define IS_OURS                                                                                    \
    " WHERE row_id = $3 AND coalesce(link_state, 'unchecked') = $4 AND EXISTS"                     \
    " (SELECT 1 FROM dataset_links l WHERE l.row_id = $3 AND l.lease_owner = $5)"

/* Apart, because naming is_active rewrites the entries of the indexes that know it. */
static const char save_state_sql[] =
    "UPDATE datasets SET link_state = $1, last_checked_at = $2" IS_OURS;
static const char hide_sql[] =
    "UPDATE datasets SET link_state = $1, last_checked_at = $2, updated_at = $2,"
    " is_active = 0" IS_OURS;
static const char show_sql[] =
    "UPDATE datasets SET link_state = $1, last_checked_at = $2, updated_at = $2,"
    " is_active = 1" IS_OURS;

static const char save_strikes_sql[] =
    "UPDATE dataset_links SET next_at = $1, gone_at = $2, gone_strikes = $3,"
    " gone_strong_strikes = $4, gone_since = $5, gone_strong_since = $6, lost_strikes = $7,"
    " lost_since = $8, lease_owner = NULL, lease_until = NULL WHERE row_id = $9";

static const char put_off_sql[] =
    "UPDATE dataset_links SET next_at = coalesce($1, next_at), lease_owner = NULL,"
    " lease_until = NULL WHERE row_id = $2 AND lease_owner = $3";

/* Nothing is left to remember. */
#define IS_BLANK                                                                                   \
    " AND lease_owner IS NULL AND next_at IS NULL AND gone_at IS NULL AND gone_strikes = 0"        \
    " AND lost_strikes = 0"
static const char remove_blank_sql[] = "DELETE FROM dataset_links WHERE row_id = $1" IS_BLANK;

static const char remove_leased_sql[] =
    "DELETE FROM dataset_links WHERE lease_owner = $1 AND next_at IS NULL AND gone_at IS NULL"
    " AND gone_strikes = 0 AND lost_strikes = 0";
static const char release_sql[] =
    "UPDATE dataset_links SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1";

static const char find_namesake_sql[] =
    "SELECT 1 FROM datasets d JOIN datasets o ON o.external_id = d.external_id COLLATE NOCASE"
    " AND o.source_name = d.source_name AND o.external_id = d.external_id"
    " WHERE d.row_id = $1 AND o.row_id <> $1 AND o.is_active LIMIT 1";

static const char count_active_sql[] = "SELECT count(*) FROM datasets INDEXED BY datasets_status"
                                       " WHERE source_name = $1 AND is_active";
static const char count_gone_sql[] =
    "SELECT count(*) FROM dataset_links l JOIN datasets d ON d.row_id = l.row_id"
    " WHERE l.gone_at >= $1 AND d.source_name = $2 AND d.link_state = 'gone'";

static int
read_row_id(const struct statement *statement, struct arena *arena, void *item, struct error *err)
{
    (void)arena;
    (void)err;
    *(int64_t *)item = statement_i64(statement, 0);
    return 0;
}

static int
read_link(const struct statement *statement, struct arena *arena, struct link *out,
          struct error *err)
{
    bool ok = true;
    struct link link = {
        .row_id = statement_i64(statement, 0),
        .source_name = arena_dup(arena, statement_str(statement, 1), &ok),
        .external_id = arena_dup(arena, statement_str(statement, 2), &ok),
        .url = arena_dup(arena, statement_str(statement, 3), &ok),
        .status =
            {
                .last_checked_at_us = statement_i64(statement, 5),
                .next_at_us = statement_i64(statement, 6),
                .gone_at_us = statement_i64(statement, 7),
                .strikes =
                    {
                        .n_gone = statement_i64(statement, 8),
                        .n_gone_strong = statement_i64(statement, 9),
                        .gone_since_us = statement_i64(statement, 10),
                        .gone_strong_since_us = statement_i64(statement, 11),
                        .n_lost = statement_i64(statement, 12),
                        .lost_since_us = statement_i64(statement, 13),
                    },
            },
    };
    int rc = link_parse_state(statement_str(statement, 4), &link.status.state, err);

    if (rc == 0 && !ok)
        rc = error_set(err, ERR_NOMEM, "no memory for a link");
    if (rc == 0)
        *out = link;
    return rc;
}

/* Lease one row and read it. */
static int
lease_one(struct database *database, int64_t row_id, const struct lease *lease, struct arena *arena,
          struct link *out, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, lease_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    statement_bind_str(statement, 2, lease->owner);
    statement_bind_i64(statement, 3, lease->until_us);
    rc = statement_run(statement, NULL, err);
    if (rc == 0)
        rc = database_prepare(database, read_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    rc = statement_step(statement, err);
    if (rc == 1)
        rc = read_link(statement, arena, out, err);
    else if (rc == 0)
        rc = error_set(err, ERR_NOT_FOUND, "dataset %lld is not there", (long long)row_id);
    statement_reset(statement);
    return rc;
}

/* Lease what a bound statement finds. */
static int
claim(struct database *database, struct statement *statement, int64_t limit,
      const struct lease *lease, struct arena *arena, struct link_list *out, struct error *err)
{
    const struct row_list_spec spec = {read_row_id, sizeof(int64_t), (size_t)limit, "links"};
    void *row_ids = NULL;
    size_t n_row_ids = 0;
    struct link *items;
    int rc = row_list_collect(statement, &spec, arena, &row_ids, &n_row_ids, err);

    if (rc < 0)
        return rc;
    items = arena_calloc(arena, n_row_ids, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "no memory for %zu links", n_row_ids);
    for (size_t i = 0; rc == 0 && i < n_row_ids; i++)
        rc = lease_one(database, ((const int64_t *)row_ids)[i], lease, arena, &items[i], err);
    if (rc == 0)
        *out = (struct link_list){items, n_row_ids};
    return rc;
}

static int
check_claim(int64_t limit, const struct lease *lease, struct error *err)
{
    if (limit < 0 || (size_t)limit > CLAIM_MAX || lease->owner.len == 0)
        return error_set(err, ERR_INVALID, "a claim needs an owner and a limit from 0 to %zu",
                         CLAIM_MAX);
    return 0;
}

int
link_repo_claim_due(struct database *database, int64_t limit, const struct lease *lease,
                    int64_t now_us, struct arena *arena, struct link_list *out, struct error *err)
{
    struct statement *statement;
    int rc = check_claim(limit, lease, err);

    if (rc < 0)
        return rc;
    rc = database_prepare(database, find_due_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, now_us);
    statement_bind_i64(statement, 2, limit);
    return claim(database, statement, limit, lease, arena, out, err);
}

int
link_repo_claim_stale(struct database *database, int64_t limit, int64_t checked_until_us,
                      const struct lease *lease, int64_t now_us, struct arena *arena,
                      struct link_list *out, struct error *err)
{
    struct statement *statement;
    int rc = check_claim(limit, lease, err);

    if (rc < 0)
        return rc;
    rc = database_prepare(database, find_stale_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, checked_until_us);
    statement_bind_i64(statement, 2, now_us);
    statement_bind_i64(statement, 3, limit);
    return claim(database, statement, limit, lease, arena, out, err);
}

static int
refuse_lost(int64_t row_id, struct str owner, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "the link of dataset %lld is not leased to '%.*s'",
                     (long long)row_id, STR_ARG(str_slice(owner, 0, 80)));
}

static int
remove_blank(struct database *database, int64_t row_id, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, remove_blank_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    return statement_run(statement, NULL, err);
}

static int
save_strikes(struct database *database, int64_t row_id, const struct link_status *status,
             struct error *err)
{
    const struct link_strikes *strikes = &status->strikes;
    struct statement *statement;
    int rc = database_prepare(database, save_strikes_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, status->next_at_us);
    statement_bind_i64(statement, 2, status->gone_at_us);
    statement_bind_i64(statement, 3, strikes->n_gone);
    statement_bind_i64(statement, 4, strikes->n_gone_strong);
    statement_bind_i64(statement, 5, strikes->gone_since_us);
    statement_bind_i64(statement, 6, strikes->gone_strong_since_us);
    statement_bind_i64(statement, 7, strikes->n_lost);
    statement_bind_i64(statement, 8, strikes->lost_since_us);
    statement_bind_i64(statement, 9, row_id);
    rc = statement_run(statement, NULL, err);
    return rc < 0 ? rc : remove_blank(database, row_id, err);
}

int
link_repo_save(struct database *database, int64_t row_id, struct str owner, enum link_state before,
               const struct link_status *status, int64_t now_us, struct error *err)
{
    bool was_gone = before == LINK_GONE;
    bool is_gone = status->state == LINK_GONE;
    const char *sql = was_gone == is_gone ? save_state_sql : is_gone ? hide_sql : show_sql;
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(database, sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, str_from_cstr(link_state_name(status->state)));
    statement_bind_i64(statement, 2, now_us);
    statement_bind_i64(statement, 3, row_id);
    statement_bind_str(statement, 4, str_from_cstr(link_state_name(before)));
    statement_bind_str(statement, 5, owner);
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0 && n_changed == 0)
        rc = refuse_lost(row_id, owner, err);
    return rc < 0 ? rc : save_strikes(database, row_id, status, err);
}

int
link_repo_put_off(struct database *database, int64_t row_id, struct str owner, int64_t next_at_us,
                  struct error *err)
{
    struct statement *statement;
    int64_t n_changed = 0;
    int rc = database_prepare(database, put_off_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, next_at_us);
    statement_bind_i64(statement, 2, row_id);
    statement_bind_str(statement, 3, owner);
    rc = statement_run(statement, &n_changed, err);
    if (rc == 0 && n_changed == 0)
        rc = refuse_lost(row_id, owner, err);
    return rc < 0 ? rc : remove_blank(database, row_id, err);
}

int
link_repo_release(struct database *database, struct str owner, int64_t *n_released,
                  struct error *err)
{
    static const char *const texts[] = {remove_leased_sql, release_sql};
    int64_t n_sum = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(texts); i++) {
        struct statement *statement;
        int64_t n = 0;

        rc = database_prepare(database, texts[i], &statement, err);
        if (rc < 0)
            return rc;
        statement_bind_str(statement, 1, owner);
        rc = statement_run(statement, &n, err);
        n_sum += n;
    }
    if (rc == 0 && n_released)
        *n_released = n_sum;
    return rc;
}

/* The first column of the one row that a bound statement gives; 0 without a row. */
static int
read_number(struct statement *statement, int64_t *out, struct error *err)
{
    int rc = statement_step(statement, err);

    if (rc >= 0)
        *out = rc == 1 ? statement_i64(statement, 0) : 0;
    statement_reset(statement);
    return rc < 0 ? rc : 0;
}

int
link_repo_is_name_taken(struct database *database, int64_t row_id, bool *out, struct error *err)
{
    struct statement *statement;
    int64_t found = 0;
    int rc = database_prepare(database, find_namesake_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, row_id);
    rc = read_number(statement, &found, err);
    if (rc == 0)
        *out = found != 0;
    return rc;
}

int
link_repo_count(struct database *database, struct str source_name, int64_t gone_since_us,
                int64_t *n_active, int64_t *n_gone, struct error *err)
{
    struct statement *statement;
    int64_t active = 0;
    int64_t gone = 0;
    int rc = database_prepare(database, count_active_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, source_name);
    rc = read_number(statement, &active, err);
    if (rc == 0)
        rc = database_prepare(database, count_gone_sql, &statement, err);
    if (rc < 0)
        return rc;
    statement_bind_i64(statement, 1, gone_since_us);
    statement_bind_str(statement, 2, source_name);
    rc = read_number(statement, &gone, err);
    if (rc == 0) {
        *n_active = active;
        *n_gone = gone;
    }
    return rc;
}
