#include "celery/backend/sqlite_bell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int
bell_open(const char *database_path, struct bell *out, struct error *err)
{
    char path[PATH_MAX];
    struct stat info;
    mode_t mode = 0600;
    int fd;

    if (snprintf(path, sizeof(path), "%s-bell", database_path) >= (int)sizeof(path))
        return error_set(err, ERR_CONFIG, "database path '%.80s...' is too long", database_path);
    if (stat(database_path, &info) == 0)
        mode = info.st_mode & 0666; /* who may write the one may ring the other */
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_set_errno(err, "cannot open '%.160s'", path);
    *out = (struct bell){.fd = fd, .watch_fd = -1};
    return 0;
}

void
bell_close(struct bell *self)
{
    file_close_fdp(&self->fd);
    file_close_fdp(&self->watch_fd);
    *self = (struct bell)BELL_INIT;
}

void
bell_ring(const struct bell *self)
{
    ssize_t n = pwrite(self->fd, "!", 1, 0);

    (void)n;
}

/* By the descriptor: it is surely the file that we ring ourselves. */
bool
bell_listen(struct bell *self)
{
    char path[64];

    if (self->watch_fd >= 0)
        return true;
    if (self->fd < 0)
        return false;
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

void
bell_drain(const struct bell *self)
{
    _Alignas(struct inotify_event) char events[4096];

    while (self->watch_fd >= 0 && read(self->watch_fd, events, sizeof(events)) > 0)
        continue;
}
