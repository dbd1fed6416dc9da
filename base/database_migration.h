#pragma once

/* What a database file holds: migrations, embedded by migrations/embed.py at build time, and the
 * few words that depend on them. */

#include <stdint.h>

struct migration {
    int64_t version; /* 1, 2, ... */
    const char *name;
    const char *checksum; /* lower-case hex SHA-256 of sql */
    const char *sql;
};

struct database_schema {
    const struct migration *migrations; /* versions 1, 2, ... without gaps; version 0 ends them */
    const char *migrate_command;        /* what makes or upgrades the file, as a user types it */
    const char *check_sql;              /* a write statement that fails on damage, or NULL */
};
