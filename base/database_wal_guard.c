/* Byte-range locks by fcntl, and the marker at the start of the same file: "clean", "doubt" or
 * "open BOOT-ID", padded to a fixed size so that no write changes the file's length. */

#include "base/database_wal_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <trawl/str.h>

#include "base/boot_id.h"
#include "base/database_backoff.h"
#include "base/file.h"

#define GUARD_BYTE     0
#define TURNSTILE_BYTE 1
#define OPEN_BYTE      2

#define MARKER_BYTES ((size_t)64)

/* The first good patch of each branch that was repaired. */
static const struct {
    int from; /* first version of the branch */
    int good; /* first repaired one */
} repaired[] = {
    {3044000, 3044006},
    {3050000, 3050007},
    {3051000, 3051003},
};

bool
wal_guard_is_needed(int version)
{
    if (version >= 3052000)
        return false;
    for (size_t i = 0; i < COUNT_OF(repaired); i++)
        if (version >= repaired[i].good && version < repaired[i].from + 1000)
            return false;
    return true;
}

/* kind: F_RDLCK, F_WRLCK or F_UNLCK.  Returns false when another description holds it. */
static bool
set_lock(const struct wal_guard *self, short kind, off_t byte)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc;

    do
        rc = fcntl(self->fd, F_OFD_SETLK, &lock);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

static bool
wait_lock(const struct wal_guard *self, short kind, off_t byte, int64_t timeout_ms)
{
    struct backoff backoff;

    if (set_lock(self, kind, byte))
        return true;
    backoff_start(&backoff, timeout_ms);
    while (backoff_wait(&backoff))
        if (set_lock(self, kind, byte))
            return true;
    return false;
}

int
wal_guard_open(const char *database_path, unsigned mode, struct wal_guard *out, struct error *err)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s-lock", database_path) >= (int)sizeof(path))
        return error_set(err, ERR_CONFIG, "database path '%.80s...' is too long", database_path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_set_errno(
            err, "cannot open lock file '%s' (writing needs a writable directory)", path);
    out->fd = fd;
    return 0;
}

void
wal_guard_close(struct wal_guard *self)
{
    file_close_fdp(&self->fd);
    self->fd = -1;
}

int
wal_guard_begin_write(struct wal_guard *self, int64_t timeout_ms, struct error *err)
{
    bool is_held;

    if (!self->is_needed)
        return 0;
    if (!wait_lock(self, F_RDLCK, TURNSTILE_BYTE, timeout_ms))
        return error_set(err, ERR_BUSY, "a checkpoint of the database has not ended within %lld ms",
                         (long long)timeout_ms);
    is_held = wait_lock(self, F_RDLCK, GUARD_BYTE, timeout_ms);
    (void)set_lock(self, F_UNLCK, TURNSTILE_BYTE);
    if (!is_held)
        return error_set(err, ERR_BUSY, "a checkpoint of the database has not ended within %lld ms",
                         (long long)timeout_ms);
    return 0;
}

void
wal_guard_end_write(struct wal_guard *self)
{
    if (self->is_needed)
        (void)set_lock(self, F_UNLCK, GUARD_BYTE);
}

/* The turnstile is tried for a moment only: a writer passing through it is gone at once, another
 * checkpointer does the work for us. */
bool
wal_guard_try_checkpoint(struct wal_guard *self, int64_t wait_ms)
{
    if (!self->is_needed)
        return true;
    if (!wait_lock(self, F_WRLCK, TURNSTILE_BYTE, wait_ms < 20 ? wait_ms : 20))
        return false;
    if (wait_lock(self, F_WRLCK, GUARD_BYTE, wait_ms))
        return true;
    (void)set_lock(self, F_UNLCK, TURNSTILE_BYTE);
    return false;
}

void
wal_guard_end_checkpoint(struct wal_guard *self)
{
    if (!self->is_needed)
        return;
    (void)set_lock(self, F_UNLCK, GUARD_BYTE);
    (void)set_lock(self, F_UNLCK, TURNSTILE_BYTE);
}

bool
wal_guard_try_alone(struct wal_guard *self)
{
    return set_lock(self, F_WRLCK, OPEN_BYTE);
}

int
wal_guard_share_open(struct wal_guard *self, int64_t timeout_ms, struct error *err)
{
    if (wait_lock(self, F_RDLCK, OPEN_BYTE, timeout_ms))
        return 0;
    return error_set(err, ERR_BUSY,
                     "another process is checking the database after a crash or closing it");
}

void
wal_guard_leave_open(struct wal_guard *self)
{
    (void)set_lock(self, F_UNLCK, OPEN_BYTE);
}

enum wal_marker
wal_guard_read_marker(const struct wal_guard *self)
{
    char bytes[MARKER_BYTES];
    char boot_id[BOOT_ID_BYTES];
    ssize_t n = pread(self->fd, bytes, sizeof(bytes), 0);
    struct str marker;

    if (n == 0)
        return WAL_MARKER_NONE;
    if (n < 0)
        return WAL_MARKER_DOUBT;
    marker = str_trim((struct str){bytes, (size_t)n});
    if (str_equal(marker, STR("clean")))
        return WAL_MARKER_CLEAN;
    if (!str_starts_with(marker, STR("open ")))
        return WAL_MARKER_DOUBT;
    boot_id_read(boot_id);
    marker = str_slice(marker, 5, marker.len);
    return str_equal(marker, str_from_cstr(boot_id)) ? WAL_MARKER_OPEN : WAL_MARKER_OTHER_BOOT;
}

void
wal_guard_write_marker(struct wal_guard *self, enum wal_marker marker)
{
    char bytes[MARKER_BYTES];
    char boot_id[BOOT_ID_BYTES];
    int len;

    boot_id_read(boot_id);
    if (marker == WAL_MARKER_OPEN)
        len = snprintf(bytes, sizeof(bytes), "open %s", boot_id);
    else
        len = snprintf(bytes, sizeof(bytes), marker == WAL_MARKER_CLEAN ? "clean" : "doubt");
    (void)memset(bytes + len, ' ', sizeof(bytes) - (size_t)len);
    bytes[sizeof(bytes) - 1] = '\n';
    if (pwrite(self->fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
        (void)fdatasync(self->fd);
}
