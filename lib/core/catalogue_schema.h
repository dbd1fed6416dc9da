#pragma once

#include "base/database_migration.h"

/* The catalogue, trawl.db: migrations/sqlite/, and FTS5's own check of the keyword index. */
extern const struct database_schema catalogue_schema;
