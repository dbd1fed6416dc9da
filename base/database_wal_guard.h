#pragma once

/* The side lock beside a database file, "NAME-lock": three byte locks and a one-line marker.
 *
 *     byte 0  guard       shared by each write transaction, exclusive during a checkpoint
 *     byte 1  turnstile   exclusive by the one checkpointer; a writer passes through it before it
 *                         takes byte 0 (shared, for a moment): writers cannot starve a checkpoint
 *     byte 2  open        shared by each connection that writes; who gets it exclusively is alone
 *
 * Why: SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when a commit resets the WAL while another
 * connection runs a second checkpoint (fixed in 3.51.3, 3.50.7 and 3.44.6).  With byte 0 the two
 * never meet.  Whoever else writes to the file must keep to bytes 0 and 1, with fcntl locks of
 * either kind.
 *
 * Locks belong to the open file description (F_OFD_SETLK): two connections of one process exclude
 * each other as well, and closing another descriptor of the file drops nothing. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/error.h>

struct wal_guard {
    int fd;         /* of NAME-lock; -1 = not open */
    bool is_needed; /* false: the library is new enough, byte 0 and the turnstile are left alone */
};

/* What the marker says of the last time that the file was open. */
enum wal_marker {
    WAL_MARKER_NONE,       /* a new lock file */
    WAL_MARKER_CLEAN,      /* closed in order */
    WAL_MARKER_OPEN,       /* a process died, the machine did not */
    WAL_MARKER_OTHER_BOOT, /* open when the machine went down */
    WAL_MARKER_DOUBT,      /* somebody saw damage or a failed sync */
};

/* version as sqlite3_libversion_number() gives it. */
bool wal_guard_is_needed(int version);

/* Open or create the lock file of a database.  mode: as the database file's.  Errors: ERR_IO ... */
MUST_CHECK int wal_guard_open(const char *database_path, unsigned mode, struct wal_guard *out,
                              struct error *err);
void wal_guard_close(struct wal_guard *self); /* drops every lock; twice is fine */

/* Byte 0, shared.  Errors: ERR_BUSY after timeout_ms. */
MUST_CHECK int wal_guard_begin_write(struct wal_guard *self, int64_t timeout_ms, struct error *err);
void wal_guard_end_write(struct wal_guard *self);

/* Turnstile and byte 0, exclusive; false when another checkpointer is at work or the writers do not
 * leave within wait_ms. */
bool wal_guard_try_checkpoint(struct wal_guard *self, int64_t wait_ms);
void wal_guard_end_checkpoint(struct wal_guard *self);

/* Byte 2.  try_alone converts a shared lock, too. */
bool wal_guard_try_alone(struct wal_guard *self);
MUST_CHECK int wal_guard_share_open(struct wal_guard *self, int64_t timeout_ms, struct error *err);
void wal_guard_leave_open(struct wal_guard *self);

/* The marker; for who is alone, except DOUBT, which anybody may write.  Writing may fail on a full
 * disk: the old marker then stays, which errs on the side of a check. */
enum wal_marker wal_guard_read_marker(const struct wal_guard *self);
void wal_guard_write_marker(struct wal_guard *self, enum wal_marker marker);
