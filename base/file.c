/* Thin and careful wrappers around the file system calls. */

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BLOCK_BYTES ((size_t)16384)

void
file_closep(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

void
file_close_fdp(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

bool
file_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

int
file_read(const char *path, struct buf *out, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    for (;;) {
        char *room = buf_reserve(out, READ_BLOCK_BYTES);
        ssize_t n;

        if (!room)
            return error_wrap(err, buf_status(out, err), "cannot read '%s'", path);
        n = read(fd, room, READ_BLOCK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, "cannot read '%s'", path);
        if (n == 0)
            return 0;
        buf_commit(out, (size_t)n);
    }
}

static int
write_all(int fd, struct str bytes)
{
    size_t done = 0;

    while (done < bytes.len) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return fsync(fd);
}

/* The directory of path, into dir. */
static int
parent_of(const char *path, char dir[PATH_MAX], struct error *err)
{
    struct str whole = str_from_cstr(path);
    size_t slash = str_find_last(whole, STR("/"));
    int len;

    if (slash == whole.len)
        len = snprintf(dir, PATH_MAX, ".");
    else
        len = snprintf(dir, PATH_MAX, "%.*s", slash ? (int)slash : 1, path);
    if (len >= PATH_MAX)
        return error_set(err, ERR_INVALID, "path '%.80s...' is too long", path);
    return 0;
}

/* A rename is only durable once its directory is. */
static int
sync_dir(const char *dir, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return error_set_errno(err, "cannot sync directory '%s'", dir);
    return 0;
}

int
file_write_atomic(const char *path, struct str bytes, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = -1;
    char dir[PATH_MAX];
    char temporary[PATH_MAX];
    int rc = parent_of(path, dir, err);

    if (rc < 0)
        return rc;
    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= PATH_MAX)
        return error_set(err, ERR_INVALID, "path '%.80s...' is too long", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "cannot create a file beside '%s'", path);
    if (write_all(fd, bytes) < 0 || rename(temporary, path) < 0) {
        rc = error_set_errno(err, "cannot write '%s'", path);
        (void)unlink(temporary);
        return rc;
    }
    return sync_dir(dir, err);
}

int
file_make_dirs(const char *path, struct error *err)
{
    char partial[PATH_MAX];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(partial))
        return error_set(err, ERR_INVALID, "'%.80s' cannot be a directory's path", path);
    (void)memcpy(partial, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        partial[i] = '\0';
        if (mkdir(partial, 0700) < 0 && errno != EEXIST)
            return error_set_errno(err, "cannot make directory '%s'", partial);
        partial[i] = path[i];
    }
    return 0;
}

int
file_map_open(const char *path, struct file_map *out, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    void *ptr;

    if (fd < 0 || fstat(fd, &info) < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    if (!S_ISREG(info.st_mode))
        return error_set(err, ERR_INVALID, "'%s' is not a regular file", path);
    if (info.st_size == 0) {
        out->bytes = STR("");
        return 0;
    }
    ptr = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (ptr == MAP_FAILED)
        return error_set_errno(err, "cannot map '%s'", path);
    out->bytes = (struct str){ptr, (size_t)info.st_size};
    return 0;
}

void
file_map_close(struct file_map *map)
{
    if (map->bytes.len)
        (void)munmap((void *)(uintptr_t)map->bytes.ptr, map->bytes.len);
    map->bytes = STR_NULL;
}
