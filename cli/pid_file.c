/* The lock decides, the number is for people: flock goes with the process, however it ends. */

#include "cli/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static int
refuse(int fd, const char *path, struct error *err)
{
    char pid[32] = "?";
    ssize_t n;

    if (errno != EWOULDBLOCK)
        return error_set_errno(err, "cannot lock the pid file '%.200s'", path);
    n = pread(fd, pid, sizeof(pid) - 1, 0);
    if (n > 0)
        pid[n] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err, ERR_BUSY, "a worker with the pid file '%.200s' runs already: process %s",
                     path, pid);
}

/* Whoever held the file may have removed it between our open and our lock. */
static bool
is_still_there(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static int
write_number(int fd, const char *path, struct error *err)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return error_set_errno(err, "cannot write the pid file '%.200s'", path);
    return 0;
}

int
pid_file_open(struct str path, struct pid_file *out, struct error *err)
{
    int rc = 0;

    if (path.len == 0 || path.len >= sizeof(out->path))
        return error_set(err, ERR_INVALID,
                         "the path of the pid file has %zu bytes, allowed are %zu", path.len,
                         sizeof(out->path) - 1);
    (void)snprintf(out->path, sizeof(out->path), "%.*s", STR_ARG(path));
    do {
        file_close_fdp(&out->fd);
        out->fd = open(out->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (out->fd < 0)
            return error_set_errno(err, "cannot open the pid file '%.200s'", out->path);
        if (flock(out->fd, LOCK_EX | LOCK_NB) < 0)
            rc = refuse(out->fd, out->path, err);
    } while (rc == 0 && !is_still_there(out->fd, out->path));
    if (rc == 0)
        rc = write_number(out->fd, out->path, err);
    if (rc < 0) {
        file_close_fdp(&out->fd);
        out->fd = -1;
    }
    return rc;
}

void
pid_file_close(struct pid_file *file)
{
    if (file->fd < 0)
        return;
    (void)unlink(file->path);
    file_close_fdp(&file->fd);
    file->fd = -1;
}
