/* Directories are opened one by one from the cache down and never through a link; names are looked
 * at, locked and removed relative to what was opened, so that nothing can be put in their place
 * meanwhile. */

#include "lib/services/validation/cleanup_service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "lib/services/enrichment/kaggle_parser/dump_cache.h"

#define HOUR_US (INT64_C(3600) * US_PER_S)

struct sweep {
    const struct run_context *ctx;
    struct cleanup_counts *counts;
    int64_t before_us; /* what was written earlier goes */
};

static void
closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* A directory within another, not through a link; NULL with errno. */
static DIR *
open_within(int parent_fd, const char *name)
{
    CLEANUP(file_close_fdp)
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir)
        fd = -1; /* it is the directory's now */
    return dir;
}

static int64_t
written_us(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * US_PER_S + info->st_mtim.tv_nsec / 1000;
}

/* One of ours: a regular file with a name of Trawl's. */
static bool
is_own_file(int dir_fd, const char *name, enum kaggle_dump_file *kind, struct stat *info)
{
    *kind = kaggle_dump_file_kind(name);
    return *kind != KAGGLE_DUMP_FOREIGN && fstatat(dir_fd, name, info, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(info->st_mode);
}

/* The time of the newest own file; of the directory where there is none. */
static bool
find_newest(DIR *version, int64_t *out_us)
{
    const struct dirent *entry;
    enum kaggle_dump_file kind;
    struct stat info;
    bool has_file = false;

    if (fstat(dirfd(version), &info) < 0)
        return false;
    *out_us = written_us(&info);
    rewinddir(version);
    while ((entry = readdir(version)) != NULL) {
        if (!is_own_file(dirfd(version), entry->d_name, &kind, &info))
            continue;
        if (!has_file || written_us(&info) > *out_us)
            *out_us = written_us(&info);
        has_file = true;
    }
    return true;
}

static void
note_failure(struct sweep *self, const char *version, const char *name)
{
    self->counts->n_failed++;
    log_warning("cached file not removed: version=%s file=%s reason=%s", version, name,
                strerror(errno));
}

/* Remove one file; a mark that stays keeps the rest of its version, too. */
static bool
remove_file(struct sweep *self, int dir_fd, const char *version, const char *name,
            enum kaggle_dump_file kind, const struct stat *info)
{
    if (unlinkat(dir_fd, name, 0) < 0) {
        if (errno == ENOENT)
            return true;
        note_failure(self, version, name);
        return false;
    }
    if (kind == KAGGLE_DUMP_MARK)
        return true;
    self->counts->n_bytes += info->st_size;
    if (kind == KAGGLE_DUMP_WHOLE)
        self->counts->n_downloads++;
    else
        self->counts->n_unfinished++;
    return true;
}

/* The files of a version that is locked and old; the mark has gone before. */
static int
remove_files(struct sweep *self, DIR *version, const char *name, struct error *err)
{
    const struct dirent *entry;
    enum kaggle_dump_file kind;
    struct stat info;

    rewinddir(version);
    while ((entry = readdir(version)) != NULL) {
        if (!is_own_file(dirfd(version), entry->d_name, &kind, &info))
            continue;
        if (progress_is_cancelled(self->ctx->progress))
            return error_set(err, ERR_CANCELLED, "cancelled while removing version %s", name);
        (void)remove_file(self, dirfd(version), name, entry->d_name, kind, &info);
    }
    return 0;
}

static int
sweep_version(struct sweep *self, DIR *root, const char *name, struct error *err)
{
    CLEANUP(closedirp) DIR *version = open_within(dirfd(root), name);
    struct stat info = {0};
    int64_t newest_us = 0;
    int rc;

    if (!version)
        return 0; /* a link, or gone since */
    if (flock(dirfd(version), LOCK_EX | LOCK_NB) < 0) {
        self->counts->n_in_use++;
        return 0;
    }
    if (!find_newest(version, &newest_us) || newest_us >= self->before_us)
        return 0;
    if (!remove_file(self, dirfd(version), name, KAGGLE_DUMP_MARK_NAME, KAGGLE_DUMP_MARK, &info))
        return 0;
    rc = remove_files(self, version, name, err);
    /* What is not ours keeps the directory; so does what could not be removed, told above. */
    if (rc == 0 && unlinkat(dirfd(root), name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY &&
        errno != EEXIST && errno != ENOENT)
        note_failure(self, name, ".");
    return rc;
}

static int
sweep_versions(struct sweep *self, DIR *root, struct error *err)
{
    const struct dirent *entry;
    int64_t n_done = 0;
    int rc = 0;

    while (rc == 0 && (entry = readdir(root)) != NULL) {
        if (!kaggle_dump_is_version(entry->d_name))
            continue;
        rc = sweep_version(self, root, entry->d_name, err);
        progress_report(self->ctx->progress, ++n_done, 0);
    }
    return rc;
}

int
cleanup_remove_old(const struct cleanup_service *self, int64_t max_age_hours,
                   const struct run_context *ctx, struct cleanup_counts *out, struct error *err)
{
    CLEANUP(closedirp) DIR *root = NULL;
    CLEANUP(file_close_fdp) int cache_fd = -1;
    char path[PATH_MAX];
    struct sweep sweep = {
        .ctx = ctx,
        .counts = out,
        .before_us = clock_now_us(self->clock) - max_age_hours * HOUR_US,
    };

    *out = (struct cleanup_counts){0};
    if (snprintf(path, sizeof(path), "%.*s", STR_ARG(self->cache_dir)) >= (int)sizeof(path))
        return error_set(err, ERR_CONFIG, "cache_dir: the path '%.80s...' is too long", path);
    cache_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache_fd < 0 && errno != ENOENT)
        return error_set_errno(err, "cannot read the cache directory '%s'", path);
    if (cache_fd >= 0)
        root = open_within(cache_fd, KAGGLE_DUMP_CACHE_NAME);
    return root ? sweep_versions(&sweep, root, err) : 0;
}
