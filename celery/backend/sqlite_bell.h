#pragma once

/* The bell beside a result database, "NAME-bell": a write to its byte 0 says that there are new
 * results, and inotify tells every process that watches the file.  Nobody has to know who waits, and
 * a process that dies leaves nothing behind. */

#include <trawl/error.h>

#include <stdbool.h>

struct bell {
    int fd;       /* -1 = not open */
    int watch_fd; /* inotify; -1 = none: look again by a timer */
};

/* clang-format off */
#define BELL_INIT {.fd = -1, .watch_fd = -1}
/* clang-format on */

/* Open or create the bell of a database.  Errors: ERR_IO ..., ERR_CONFIG (path too long). */
MUST_CHECK int bell_open(const char *database_path, struct bell *out, struct error *err);
void bell_close(struct bell *self); /* twice is fine */

/* Best effort: who misses it looks again within a second. */
void bell_ring(const struct bell *self);

/* Start to listen; false where the system has no inotify instance left. */
bool bell_listen(struct bell *self);
/* Read off what has been heard. */
void bell_drain(const struct bell *self);
