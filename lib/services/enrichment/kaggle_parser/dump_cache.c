/* Names, and the lock. */

#include "lib/services/enrichment/kaggle_parser/dump_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_source.h"

#define HOLD_TRIES 5

bool
kaggle_dump_is_version(const char *name)
{
    return strcmp(name, KAGGLE_DUMP_UNKNOWN) == 0 ||
           (name[0] != '\0' && strspn(name, "0123456789") == strlen(name));
}

/* Six letters or digits after a dot: what file_write_atomic was writing when it was killed. */
static bool
is_temporary_ending(struct str ending)
{
    if (ending.len != 7 || ending.ptr[0] != '.')
        return false;
    for (size_t i = 1; i < ending.len; i++) {
        char c = ending.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

enum kaggle_dump_file
kaggle_dump_file_kind(const char *name)
{
    struct str text = str_from_cstr(name);

    if (str_equal(text, STR(KAGGLE_DUMP_MARK_NAME)))
        return KAGGLE_DUMP_MARK;
    if (str_starts_with(text, STR(KAGGLE_DUMP_MARK_NAME)) &&
        is_temporary_ending(str_slice(text, sizeof(KAGGLE_DUMP_MARK_NAME) - 1, text.len)))
        return KAGGLE_DUMP_UNFINISHED;
    for (int file = 0; file < META_N_FILES; file++) {
        struct str own = str_from_cstr(kaggle_meta_file_name((enum meta_file)file));
        struct str ending;

        if (!str_starts_with(text, own))
            continue;
        ending = str_slice(text, own.len, text.len);
        if (ending.len == 0)
            return KAGGLE_DUMP_WHOLE;
        if (!str_starts_with(ending, STR(".part")))
            return KAGGLE_DUMP_FOREIGN;
        ending = str_slice(ending, 5, ending.len);
        if (str_starts_with(ending, STR(".etag")))
            ending = str_slice(ending, 5, ending.len);
        return ending.len == 0 || is_temporary_ending(ending) ? KAGGLE_DUMP_UNFINISHED
                                                              : KAGGLE_DUMP_FOREIGN;
    }
    return KAGGLE_DUMP_FOREIGN;
}

int
kaggle_dump_hold(const char *directory, int *out_fd, struct error *err)
{
    for (int i = 0; i < HOLD_TRIES; i++) {
        CLEANUP(file_close_fdp) int fd = -1;
        struct stat ours, named;
        int rc = file_make_dirs(directory, err);

        if (rc < 0)
            return rc;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0)
            return error_set_errno(err, "cannot open '%s'", directory);
        if (flock(fd, LOCK_SH) < 0)
            return error_set_errno(err, "cannot lock '%s'", directory);
        if (fstat(fd, &ours) == 0 && stat(directory, &named) == 0 && ours.st_ino == named.st_ino &&
            ours.st_dev == named.st_dev) {
            *out_fd = fd;
            fd = -1;
            return 0;
        }
    }
    return error_set(err, ERR_BUSY, "'%s' is being removed by another process", directory);
}
