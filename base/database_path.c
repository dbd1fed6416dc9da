/* From a database's URL to its file. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/database_internal.h"
#include "base/file.h"

/* Room for "-lock", "-wal" and "-shm". */
#define PATH_BYTES ((size_t)PATH_MAX - 8)

/* As SQLAlchemy reads it: three slashes before a relative path, four before an absolute one. */
static int
parse_url(struct str url, char path[PATH_MAX], struct error *err)
{
    struct str rest = url;
    size_t colon = str_find(url, STR("://"));

    if (str_starts_with(url, STR("sqlite:///")))
        rest = str_slice(url, 10, url.len);
    else if (colon < url.len)
        return error_set(err, ERR_CONFIG,
                         "database URL scheme '%.*s' is not supported: use sqlite:///",
                         STR_ARG(str_slice(url, 0, colon < 32 ? colon : 32)));
    if (rest.len == 0 || str_equal(rest, STR(":memory:")))
        return error_set(err, ERR_CONFIG,
                         "the database needs a file that processes can share, as in"
                         " 'sqlite:////var/lib/trawl/trawl.db'");
    if (str_find_char(rest, '?') < rest.len || memchr(rest.ptr, '\0', rest.len))
        return error_set(err, ERR_CONFIG, "database path '%.*s' holds a '?' or NUL",
                         STR_ARG(str_slice(rest, 0, 80)));
    if (rest.len > PATH_BYTES)
        return error_set(err, ERR_CONFIG, "database path '%.*s...' is too long",
                         STR_ARG(str_slice(rest, 0, 80)));
    (void)memcpy(path, rest.ptr, rest.len);
    path[rest.len] = '\0';
    return 0;
}

/* The directory of path, into dir; returns where the file's name begins in path. */
static size_t
split_path(const char *path, char dir[PATH_MAX])
{
    size_t slash = str_find_last(str_from_cstr(path), STR("/"));

    if (slash == strlen(path)) {
        (void)memcpy(dir, ".", 2);
        return 0;
    }
    (void)memcpy(dir, path, slash ? slash : 1);
    dir[slash ? slash : 1] = '\0';
    return slash + 1;
}

/* One file, one name: SQLite puts the WAL beside what a symbolic link points to, and the side lock
 * must lie there as well.  The file may still be missing, its directory not. */
static int
resolve_path(char path[PATH_MAX], struct error *err)
{
    CLEANUP(buf_fini) struct buf name = BUF_INIT(PATH_BYTES);
    char dir[PATH_MAX];
    char real[PATH_MAX];
    size_t name_at = split_path(path, dir);

    if (realpath(path, real)) {
        buf_append(&name, str_from_cstr(real));
    } else if (realpath(dir, real)) {
        buf_printf(&name, "%s/%s", real, path + name_at);
    } else {
        return error_set_errno(err, "cannot open directory '%.160s'", dir);
    }
    if (buf_status(&name, err) < 0)
        return error_set(err, ERR_CONFIG, "database path '%.80s...' is too long", real);
    (void)memcpy(path, buf_cstr(&name), name.len + 1);
    return 0;
}

/* The file's own mode for the lock file, or the usual one for a new file; ERR_NOT_FOUND where there
 * is no file and none may be made. */
static int
find_file(const char *path, const struct database_options *options, unsigned *mode,
          struct error *err)
{
    char dir[PATH_MAX];
    struct stat info;

    *mode = 0644;
    if (stat(path, &info) == 0) {
        *mode = info.st_mode & 0666;
        if (S_ISREG(info.st_mode))
            return 0;
        return error_set(err, ERR_CONFIG, "database path '%.160s' is not a file", path);
    }
    if (errno != ENOENT)
        return error_set_errno(err, "cannot open database '%.160s'", path);
    if (options->may_create && !options->is_read_only) {
        (void)split_path(path, dir);
        return file_make_dirs(dir, err);
    }
    return error_set(err, ERR_NOT_FOUND, "database '%.160s' does not exist: `%s` makes it", path,
                     options->schema->migrate_command);
}

int
database_path_find(struct str url, const struct database_options *options, char path[PATH_MAX],
                   unsigned *mode, struct error *err)
{
    int rc = parse_url(url, path, err);

    if (rc == 0)
        rc = find_file(path, options, mode, err);
    return rc < 0 ? rc : resolve_path(path, err);
}
