#pragma once

/* The migrations, embedded by migrations/embed.py at build time, ascending and without gaps. */

#include <stddef.h>
#include <stdint.h>

struct migration {
    int64_t version; /* 1, 2, ... */
    const char *name;
    const char *checksum; /* lower-case hex SHA-256 of sql */
    const char *sql;
};

extern const struct migration sqlite_migrations[];
extern const size_t n_sqlite_migrations;
