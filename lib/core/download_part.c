/* The file under way.  Its name tells that it is not whole; a crash at any point leaves either such
 * a file or the finished one.  The directory is not synced after the rename: if a power cut undoes
 * it, the .part is there again and is finished by the next call. */

#include "lib/core/download_part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"

#define ETAG_MAX_BYTES 256
#define OPEN_TRIES     5

/* Open and lock once; *is_stale where the file was renamed away while we waited for nothing. */
static int
open_locked(struct download_part *part, bool *is_stale, struct error *err)
{
    CLEANUP(file_close_fdp)
    int fd = open(part->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    struct stat ours, named;

    if (fd < 0)
        return error_set_errno(err, "cannot write '%s'", part->part);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, ERR_BUSY, "'%s' is being written by another process", part->part);
        return error_set_errno(err, "cannot lock '%s'", part->part);
    }
    if (fstat(fd, &ours) < 0)
        return error_set_errno(err, "cannot read '%s'", part->part);
    if (!S_ISREG(ours.st_mode))
        return error_set(err, ERR_INVALID, "'%s' is not a regular file", part->part);
    *is_stale =
        stat(part->part, &named) < 0 || named.st_ino != ours.st_ino || named.st_dev != ours.st_dev;
    if (*is_stale)
        return 0;
    part->n_bytes = (uint64_t)ours.st_size;
    part->fd = fd;
    fd = -1;
    return 0;
}

int
download_part_open(struct download_part *part, const char *path, struct error *err)
{
    bool is_stale = true;

    *part = (struct download_part){.path = path, .fd = -1};
    if (snprintf(part->part, sizeof(part->part), "%s.part", path) >= (int)sizeof(part->part) ||
        snprintf(part->etag, sizeof(part->etag), "%s.part.etag", path) >= (int)sizeof(part->etag))
        return error_set(err, ERR_INVALID, "path '%.80s...' is too long", path);
    for (int i = 0; i < OPEN_TRIES && is_stale; i++) {
        int rc = open_locked(part, &is_stale, err);

        if (rc < 0)
            return rc;
    }
    if (is_stale)
        return error_set(err, ERR_BUSY, "'%s' is being written by other processes", part->part);
    return 0;
}

void
download_part_close(struct download_part *part)
{
    if (part->fd >= 0)
        (void)close(part->fd);
    part->fd = -1;
}

struct str
download_part_etag(const struct download_part *part, struct arena *arena)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(65536);
    struct str etag;
    bool ok = true;

    if (file_read(part->etag, &text, NULL) < 0)
        return STR_NULL;
    etag = str_trim(buf_str(&text));
    if (etag.len < 3 || etag.len > ETAG_MAX_BYTES || etag.ptr[0] != '"')
        return STR_NULL;
    for (size_t i = 0; i < etag.len; i++) {
        if ((unsigned char)etag.ptr[i] < ' ' || etag.ptr[i] == 0x7F)
            return STR_NULL;
    }
    return arena_dup(arena, etag, &ok); /* without memory: as if there were none */
}

int
download_part_set_etag(const struct download_part *part, struct str etag, struct error *err)
{
    if (etag.len < 3 || etag.len > ETAG_MAX_BYTES || etag.ptr[0] != '"') {
        (void)unlink(part->etag);
        return 0;
    }
    return file_write_atomic(part->etag, etag, err);
}

int
download_part_clear(struct download_part *part, struct error *err)
{
    (void)unlink(part->etag);
    if (ftruncate(part->fd, 0) < 0)
        return error_set_errno(err, "cannot empty '%s'", part->part);
    part->n_bytes = 0;
    return 0;
}

/* Failures of the disk, with the way out. */
static int
refuse_write(const struct download_part *part, struct error *err)
{
    int rc = error_set_errno(err, "cannot write '%s' at byte %" PRIu64, part->part, part->n_bytes);

    if (rc == -ERR_DISK_FULL)
        return error_wrap(err, rc, "free some space and call again, it continues");
    return rc;
}

int
download_part_reserve(struct download_part *part, uint64_t n_more, struct error *err)
{
    off_t end;
    int rc = 0;

    if (n_more == 0 || __builtin_add_overflow(part->n_bytes, n_more, &end))
        return 0;
    if (fallocate(part->fd, FALLOC_FL_KEEP_SIZE, (off_t)part->n_bytes, (off_t)n_more) == 0 ||
        (errno != ENOSPC && errno != EDQUOT))
        return 0;
    rc = error_set_errno(err, "no room for %" PRIu64 " bytes more in '%s'", n_more, part->part);
    /* Give back what was reserved; should that fail, the error is the same. */
    error_ignore(ftruncate(part->fd, (off_t)part->n_bytes));
    return rc;
}

int
download_part_append(struct download_part *part, struct str bytes, struct error *err)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(part->fd, bytes.ptr, bytes.len, (off_t)part->n_bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse_write(part, err);
        part->n_bytes += (uint64_t)n;
        bytes = str_slice(bytes, (size_t)n, bytes.len);
    }
    return 0;
}

static int
check_size(const char *path, uint64_t n_bytes, uint64_t expected, struct error *err)
{
    if (expected == 0 || n_bytes == expected)
        return 0;
    return error_set(err, ERR_CORRUPT, "'%s' has %" PRIu64 " bytes, not %" PRIu64, path, n_bytes,
                     expected);
}

static int
check_sha256(const char *path, struct str expected, struct error *err)
{
    char text[SHA256_TEXT_BYTES];
    int rc;

    if (expected.len == 0)
        return 0;
    rc = digest_sha256_file(path, text, err);
    if (rc < 0 || str_equal_ignore_case(str_from_cstr(text), expected))
        return rc;
    return error_set(err, ERR_CORRUPT, "'%s' has SHA-256 %s, not %.*s", path, text,
                     STR_ARG(expected));
}

static int
check_md5(const char *path, struct str expected, const unsigned char *goog_md5, struct error *err)
{
    char text[MD5_TEXT_BYTES];
    char goog[MD5_TEXT_BYTES];
    struct str wanted[2] = {expected, STR_NULL};
    int rc;

    if (goog_md5) {
        digest_format_hex(goog_md5, 16, goog);
        wanted[1] = str_from_cstr(goog);
    }
    if (wanted[0].len == 0 && wanted[1].len == 0)
        return 0;
    rc = digest_md5_file(path, text, err);
    for (size_t i = 0; i < COUNT_OF(wanted) && rc == 0; i++) {
        if (wanted[i].len && !str_equal_ignore_case(str_from_cstr(text), wanted[i]))
            rc = error_set(err, ERR_CORRUPT, "'%s' has MD5 %s, not %.*s", path, text,
                           STR_ARG(wanted[i]));
    }
    return rc;
}

/* All checks on a file under whatever name. */
static int
check_file(const char *path, uint64_t n_bytes, const struct download_check *check,
           const unsigned char *goog_md5, struct error *err)
{
    static const struct download_check none = {0};
    int rc;

    if (!check)
        check = &none;
    rc = check_size(path, n_bytes, check->n_bytes, err);
    if (rc == 0)
        rc = check_sha256(path, check->sha256, err);
    if (rc == 0)
        rc = check_md5(path, check->md5, goog_md5, err);
    return rc;
}

int
download_part_finish(struct download_part *part, const struct download_check *check,
                     const unsigned char *goog_md5, struct error *err)
{
    int rc;

    /* Drop what was reserved beyond the end, then make it last. */
    if (ftruncate(part->fd, (off_t)part->n_bytes) < 0 || fsync(part->fd) < 0)
        return refuse_write(part, err);
    rc = check_file(part->part, part->n_bytes, check, goog_md5, err);
    if (rc == -ERR_CORRUPT) {
        download_part_drop(part, true);
        return error_wrap(err, rc, "damaged, removed");
    }
    if (rc < 0)
        return rc;
    if (rename(part->part, part->path) < 0)
        return error_set_errno(err, "cannot rename '%s' to '%s'", part->part, part->path);
    (void)unlink(part->etag);
    return 0;
}

void
download_part_drop(struct download_part *part, bool is_forced)
{
    if (part->fd < 0 || (part->n_bytes > 0 && !is_forced))
        return;
    (void)unlink(part->part);
    (void)unlink(part->etag);
}

bool
download_is_whole(const char *path, const struct download_check *check)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
           check_file(path, (uint64_t)info.st_size, check, NULL, NULL) == 0;
}
