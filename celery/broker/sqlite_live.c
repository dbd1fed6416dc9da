/* Byte locks by fcntl, wake-ups by inotify.
 *
 * Rejected: a socket or FIFO per consumer (its name stays when the process is killed, and a
 * publisher would have to know all of them), a futex in mapped memory (nothing to poll), signals (a
 * pid may be another process by then). */

#include "celery/broker/sqlite_live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define WANT_BYTE (INT64_C(1) << 62)

static int
format_path(const char *database_path, char path[PATH_MAX], struct error *err)
{
    if (snprintf(path, PATH_MAX, "%s-live", database_path) >= PATH_MAX)
        return error_set(err, ERR_CONFIG, "database path '%.80s...' is too long", database_path);
    return 0;
}

int
live_file_open(const char *database_path, struct live_file *out, struct error *err)
{
    char path[PATH_MAX];
    struct stat info;
    mode_t mode = 0644;
    int rc = format_path(database_path, path, err);

    if (rc < 0)
        return rc;
    if (stat(database_path, &info) == 0)
        mode = info.st_mode & 0666;
    out->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (out->fd < 0)
        return error_set_errno(err, "cannot open '%.160s'", path);
    if (fstat(out->fd, &info) < 0) {
        rc = error_set_errno(err, "cannot read the state of '%.160s'", path);
        live_file_close(out);
        return rc;
    }
    out->inode = info.st_ino;
    out->watch_fd = -1;
    out->held = 0;
    return 0;
}

void
live_file_close(struct live_file *self)
{
    file_close_fdp(&self->fd);
    file_close_fdp(&self->watch_fd);
    *self = (struct live_file)LIVE_FILE_INIT;
}

bool
live_file_is_replaced(const struct live_file *self, const char *database_path)
{
    char path[PATH_MAX];
    struct stat info;

    if (format_path(database_path, path, NULL) < 0)
        return false;
    if (stat(path, &info) < 0)
        return errno == ENOENT;
    return info.st_ino != self->inode;
}

static int
set_lock(const struct live_file *self, int command, short kind, int64_t byte, struct flock *lock)
{
    int rc;

    *lock = (struct flock){.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    do
        rc = fcntl(self->fd, command, lock);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int
live_file_hold(struct live_file *self, int64_t consumer_id, struct error *err)
{
    struct flock lock;

    live_file_release(self);
    if (set_lock(self, F_OFD_SETLK, F_WRLCK, consumer_id, &lock) < 0)
        return error_set_errno(err, "cannot lock byte %lld of the broker's live file",
                               (long long)consumer_id);
    self->held = consumer_id;
    return 0;
}

void
live_file_release(struct live_file *self)
{
    struct flock lock;

    if (self->held)
        (void)set_lock(self, F_OFD_SETLK, F_UNLCK, self->held, &lock);
    self->held = 0;
}

bool
live_file_is_held(const struct live_file *self, int64_t consumer_id)
{
    struct flock lock;

    return set_lock(self, F_OFD_GETLK, F_WRLCK, consumer_id, &lock) < 0 || lock.l_type != F_UNLCK;
}

void
live_file_want(const struct live_file *self, bool is_waiting)
{
    struct flock lock;

    (void)set_lock(self, F_OFD_SETLK, is_waiting ? F_RDLCK : F_UNLCK, WANT_BYTE, &lock);
}

bool
live_file_is_wanted(const struct live_file *self)
{
    struct flock lock;

    return set_lock(self, F_OFD_GETLK, F_WRLCK, WANT_BYTE, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* By the descriptor, so that it is surely the file whose locks we know. */
bool
live_file_watch(struct live_file *self)
{
    char path[64];

    if (self->watch_fd >= 0)
        return true;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
    self->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (self->watch_fd < 0)
        return false;
    if (inotify_add_watch(self->watch_fd, path, IN_MODIFY) >= 0)
        return true;
    file_close_fdp(&self->watch_fd);
    self->watch_fd = -1;
    return false;
}

bool
live_file_drain(struct live_file *self)
{
    _Alignas(struct inotify_event) char events[4096];
    bool has_news = false;

    while (self->watch_fd >= 0 && read(self->watch_fd, events, sizeof(events)) > 0)
        has_news = true;
    return has_news;
}

void
live_file_wake(const struct live_file *self)
{
    ssize_t n = pwrite(self->fd, "!", 1, 0);

    (void)n;
}
