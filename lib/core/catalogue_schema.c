/* The catalogue's migrations, as the build embeds them. */

#include "lib/core/catalogue_schema.h"

extern const struct migration sqlite_migrations[];

/* The keyword index against the rows that it was made from. */
static const char check_index_sql[] =
    "INSERT INTO datasets_fts (datasets_fts, rank) VALUES ('integrity-check', 1)";

const struct database_schema catalogue_schema = {
    .migrations = sqlite_migrations,
    .migrate_command = "trawl db migrate",
    .check_sql = check_index_sql,
};
