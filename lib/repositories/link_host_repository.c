/* Table link_hosts. */

#include "lib/repositories/link_host_repository.h"

static const char find_sql[] =
    "SELECT parked_until, outage_since, canary_at, canary_good_at, coalesce(good_probes, 0),"
    " coalesce(good_failures, 0), head_lies, get_first_until FROM link_hosts WHERE origin = $1";

static const char save_sql[] =
    "INSERT OR REPLACE INTO link_hosts (origin, parked_until, outage_since, canary_at,"
    " canary_good_at, good_probes, good_failures, head_lies, get_first_until, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

int
link_host_repo_load(struct database *database, struct link_host *host, struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, find_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, host->origin);
    rc = statement_step(statement, err);
    if (rc == 0)
        link_host_init(host, host->origin);
    if (rc == 1)
        *host = (struct link_host){
            .origin = host->origin,
            .parked_until_us = statement_i64(statement, 0),
            .outage_since_us = statement_i64(statement, 1),
            .canary_at_us = statement_i64(statement, 2),
            .canary_good_at_us = statement_i64(statement, 3),
            .n_good_probes = statement_i64(statement, 4),
            .n_good_failures = statement_i64(statement, 5),
            .n_head_lies = statement_i64(statement, 6),
            .get_first_until_us = statement_i64(statement, 7),
        };
    statement_reset(statement);
    return rc < 0 ? rc : 0;
}

int
link_host_repo_save(struct database *database, const struct link_host *host, int64_t now_us,
                    struct error *err)
{
    struct statement *statement;
    int rc = database_prepare(database, save_sql, &statement, err);

    if (rc < 0)
        return rc;
    statement_bind_str(statement, 1, host->origin);
    statement_bind_i64(statement, 2, host->parked_until_us);
    statement_bind_i64(statement, 3, host->outage_since_us);
    statement_bind_i64(statement, 4, host->canary_at_us);
    statement_bind_i64(statement, 5, host->canary_good_at_us);
    statement_bind_i64(statement, 6, host->n_good_probes);
    statement_bind_i64(statement, 7, host->n_good_failures);
    statement_bind_i64(statement, 8, host->n_head_lies);
    statement_bind_i64(statement, 9, host->get_first_until_us);
    statement_bind_i64(statement, 10, now_us);
    return statement_run(statement, NULL, err);
}
