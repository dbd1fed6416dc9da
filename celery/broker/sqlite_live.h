#pragma once

/* The live file beside a database, "NAME-live": who lives, and who should wake up.
 *
 *     lock on byte N       consumer N lives; held exclusively while its process has it open
 *     lock on byte 1<<62   shared by those that wait for the database's write lock
 *     a write to byte 0    there is news: inotify tells every consumer that watches the file
 *
 * The kernel drops the locks of a process that dies, however it dies, so a dead consumer is known
 * for dead at once and a slow or stopped one is never taken for dead.  Nothing of it stays behind.
 * Locks belong to the open file description (F_OFD_SETLK), as those of the side lock do. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <trawl/error.h>

struct live_file {
    int fd;       /* -1 = not open */
    int watch_fd; /* inotify; -1 = none, the consumer polls by its timer */
    int64_t held; /* the byte that is locked; 0 = none */
    ino_t inode;
};

#define LIVE_FILE_INIT                                                                             \
    {                                                                                              \
        .fd = -1, .watch_fd = -1                                                                   \
    }

/* Open or create the file of a database.  Errors: ERR_IO, ERR_CONFIG (path too long). */
MUST_CHECK int live_file_open(const char *database_path, struct live_file *out, struct error *err);
void live_file_close(struct live_file *self); /* drops the lock; twice is fine */

/* Somebody removed or replaced the file: locks on the old one tell the others nothing. */
bool live_file_is_replaced(const struct live_file *self, const char *database_path);

/* Take consumer_id's byte.  Errors: ERR_BUSY (somebody has it, which the table forbids), ERR_IO. */
MUST_CHECK int live_file_hold(struct live_file *self, int64_t consumer_id, struct error *err);
void live_file_release(struct live_file *self);

/* Does another open description hold this byte?  True as well when nobody can tell. */
bool live_file_is_held(const struct live_file *self, int64_t consumer_id);

/* Waiting for the write lock, and whether another open description does. */
void live_file_want(const struct live_file *self, bool is_waiting);
bool live_file_is_wanted(const struct live_file *self);

/* Start to watch; false where the system has no inotify instance left (watch_fd stays -1). */
bool live_file_watch(struct live_file *self);
/* Read off what the watch has; true when there was something. */
bool live_file_drain(struct live_file *self);

/* Wake whoever watches.  Best effort: who misses it looks again within a second. */
void live_file_wake(const struct live_file *self);
