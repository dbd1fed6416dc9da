/* A directory per version, so that files of two versions are never mixed. */

#include "lib/services/enrichment/kaggle_parser/dump_fetcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "lib/core/download.h"
#include "lib/services/enrichment/kaggle_parser/dump_cache.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_source.h"

#define META_KAGGLE_REF STR("kaggle/meta-kaggle")
#define SETTINGS_BYTES  ((size_t)65536)
#define SCRATCH_BYTES   ((size_t)64 << 20)
#define MAX_ROUNDS      3 /* of one file that comes as something else */

struct kaggle_dump_downloads {
    struct kaggle_dump_downloads_options options; /* texts live in settings */
    struct arena settings;
};

/* One fetch. */
struct fetch {
    struct progress base; /* first: what download_file reports to */
    const struct kaggle_dump_downloads *self;
    const struct progress *listener;
    const char *root;      /* CACHE/meta-kaggle */
    const char *directory; /* root/VERSION */
    int64_t n_done;        /* bytes of the files that are complete */
    struct arena scratch;  /* answers */
};

static void
report(const struct progress *base, int64_t done, int64_t total)
{
    const struct fetch *fetch = (const struct fetch *)base;

    (void)total; /* of one file; what all six come to is not known before */
    progress_report(fetch->listener, fetch->n_done + done, 0);
}

static bool
is_cancelled(const struct progress *base)
{
    return progress_is_cancelled(((const struct fetch *)base)->listener);
}

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory to fetch Meta Kaggle");
}

/* The version as a directory's name; "unknown" when Kaggle does not tell. */
static int
ask_version(struct fetch *fetch, struct arena *arena, const char **out, struct error *err)
{
    struct kaggle_answer answer;
    char *version;
    int rc = kaggle_client_view(fetch->self->options.client, META_KAGGLE_REF, &fetch->scratch,
                                &answer, err);

    if (rc < 0)
        return rc;
    if (answer.verdict != KAGGLE_FOUND || answer.dataset.version_number <= 0) {
        log_warning("Kaggle does not tell the version of Meta Kaggle, it is fetched anew: %.*s",
                    STR_ARG(answer.message));
        *out = KAGGLE_DUMP_UNKNOWN;
        return 0;
    }
    version = arena_printf(arena, "%" PRId64, answer.dataset.version_number);
    *out = version;
    return version ? 0 : no_memory(err);
}

/* "DIRECTORY/NAME" and an ending, NULL on lack of memory. */
static char *
path_of(struct fetch *fetch, const char *directory, const char *name, const char *ending)
{
    return arena_printf(&fetch->scratch, "%s/%s%s", directory, name, ending);
}

/* Remove one file, or note that it was not there. */
static int
remove_file(const char *path, struct error *err)
{
    if (!path)
        return no_memory(err);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(err, "cannot remove '%s'", path);
    return 0;
}

/* Everything of ours in a version's directory; the marker first, so that half a directory never
 * counts as complete. */
static int
empty_directory(struct fetch *fetch, const char *directory, struct error *err)
{
    static const char *const endings[] = {"", ".part", ".part.etag"};
    int rc = remove_file(path_of(fetch, directory, KAGGLE_DUMP_MARK_NAME, ""), err);

    for (int file = 0; rc == 0 && file < META_N_FILES; file++) {
        const char *name = kaggle_meta_file_name((enum meta_file)file);

        for (size_t i = 0; rc == 0 && i < COUNT_OF(endings); i++)
            rc = remove_file(path_of(fetch, directory, name, endings[i]), err);
    }
    return rc;
}

/* One version, unless somebody is at it. */
static int
remove_version(struct fetch *fetch, const char *path, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc;

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set_errno(err, "cannot lock '%s'", path);
    rc = empty_directory(fetch, path, err);
    if (rc == 0 && rmdir(path) < 0)
        rc = error_set_errno(err, "cannot remove '%s'", path);
    return rc;
}

/* Older versions go; what cannot be removed is left for the cleanup of the cache. */
static void
remove_others(struct fetch *fetch)
{
    DIR *root = opendir(fetch->root);
    const struct dirent *entry;

    while (root && (entry = readdir(root)) != NULL) {
        const char *path = path_of(fetch, fetch->root, entry->d_name, "");
        struct error err;

        if (!path || !kaggle_dump_is_version(entry->d_name) || strcmp(path, fetch->directory) == 0)
            continue;
        if (remove_version(fetch, path, &err) < 0)
            log_warning("old Meta Kaggle not removed, it takes room: reason=%s", err.message);
    }
    if (root)
        (void)closedir(root);
}

/* A captcha page with status 200 is no table: look at the first bytes. */
static int
check_head(const char *path, struct error *err)
{
    CLEANUP(file_closep) FILE *file = fopen(path, "re");
    char bytes[64];
    struct str head;

    if (!file)
        return error_set_errno(err, "cannot open '%s'", path);
    head = (struct str){bytes, fread(bytes, 1, sizeof(bytes), file)};
    if (str_starts_with(head, STR("PK\x03\x04")) || str_starts_with(head, STR("\x1F\x8B")))
        return 0;
    if (str_starts_with(head, STR("\xEF\xBB\xBF")))
        head = str_slice(head, 3, head.len);
    if (str_starts_with(head, STR("Id,")) || str_starts_with(head, STR("\"Id\",")))
        return 0;
    return error_set(err, ERR_CORRUPT, "'%s' is neither a CSV file of Meta Kaggle nor an archive",
                     path);
}

static int
download_once(struct fetch *fetch, const char *name, const char *path, struct error *err)
{
    const struct kaggle_dump_downloads_options *options = &fetch->self->options;
    struct http_request request = {
        .authorization = options->authorization,
        .min_interval_ms = options->min_interval_ms,
    };
    struct http_response response;
    char *url = arena_printf(&fetch->scratch, "%.*s/datasets/download/%.*s/%s",
                             STR_ARG(options->rest_url), STR_ARG(META_KAGGLE_REF), name);
    int rc;

    if (!url)
        return no_memory(err);
    request.url = str_from_cstr(url);
    rc = download_file(options->http, &request, path, NULL, &fetch->base, &fetch->scratch,
                       &response, err);
    if (rc < 0)
        return rc;
    rc = check_head(path, err);
    if (rc == -ERR_CORRUPT)
        (void)unlink(path);
    return rc;
}

static int64_t
size_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

static int
download_one(struct fetch *fetch, enum meta_file file, struct error *err)
{
    const char *name = kaggle_meta_file_name(file);
    const char *path = path_of(fetch, fetch->directory, name, "");
    int rc = -ERR_CORRUPT;

    if (!path)
        return no_memory(err);
    if (file_exists(path)) {
        fetch->n_done += size_of(path);
        return 0;
    }
    for (int round = 0; round < MAX_ROUNDS && rc == -ERR_CORRUPT; round++)
        rc = download_once(fetch, name, path, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot download %s", name);
    fetch->n_done += size_of(path);
    return 0;
}

static int
download_all(struct fetch *fetch, struct error *err)
{
    const char *marker = path_of(fetch, fetch->directory, KAGGLE_DUMP_MARK_NAME, "");
    int rc = 0;

    for (int file = 0; rc == 0 && file < META_N_FILES; file++)
        rc = download_one(fetch, (enum meta_file)file, err);
    if (rc < 0)
        return rc;
    if (!marker)
        return no_memory(err);
    rc = file_write_atomic(marker, STR(""), err);
    if (rc == 0)
        remove_others(fetch);
    return rc;
}

static int
fetch_version(struct fetch *fetch, bool force_redownload, const char *version, struct error *err)
{
    const char *marker = path_of(fetch, fetch->directory, KAGGLE_DUMP_MARK_NAME, "");
    bool must_start_over = force_redownload || strcmp(version, KAGGLE_DUMP_UNKNOWN) == 0;
    int rc = 0;

    if (!marker)
        return no_memory(err);
    if (!must_start_over && file_exists(marker)) {
        log_info("Meta Kaggle has not changed, the files at hand are used: version=%s", version);
        return 0;
    }
    if (must_start_over)
        rc = empty_directory(fetch, fetch->directory, err);
    if (rc == 0)
        log_info("downloading Meta Kaggle: version=%s directory=%s", version, fetch->directory);
    return rc < 0 ? rc : download_all(fetch, err);
}

static int
fetch_dump(void *context, bool force_redownload, const struct progress *progress,
           struct arena *arena, struct kaggle_dump *out, struct error *err)
{
    const struct kaggle_dump_downloads *self = context;
    struct fetch fetch = {
        .base = {report, is_cancelled},
        .self = self,
        .listener = progress,
        .scratch = ARENA_INIT(SCRATCH_BYTES),
    };
    const char *version;
    char *root;
    char *directory = NULL;
    int hold_fd = -1;
    int rc = ask_version(&fetch, arena, &version, err);

    root = arena_printf(arena, "%.*s/" KAGGLE_DUMP_CACHE_NAME, STR_ARG(self->options.cache_dir));
    if (rc == 0 && root)
        directory = arena_printf(arena, "%s/%s", root, version);
    if (rc == 0 && !directory)
        rc = no_memory(err);
    fetch.root = root;
    fetch.directory = directory;
    if (rc == 0)
        rc = kaggle_dump_hold(directory, &hold_fd, err);
    if (rc == 0)
        rc = fetch_version(&fetch, force_redownload, version, err);
    arena_fini(&fetch.scratch);
    if (rc < 0) {
        if (hold_fd >= 0)
            (void)close(hold_fd);
        return rc;
    }
    out->is_held = true;
    out->hold_fd = hold_fd;
    out->path = directory;
    out->version = strcmp(version, KAGGLE_DUMP_UNKNOWN) == 0 ? STR_NULL : str_from_cstr(version);
    return 0;
}

int
kaggle_dump_downloads_create(const struct kaggle_dump_downloads_options *options,
                             struct kaggle_dump_downloads **out, struct error *err)
{
    struct kaggle_dump_downloads *self = calloc(1, sizeof(*self));
    struct str rest_url = options->rest_url.len ? options->rest_url : KAGGLE_REST_URL;
    bool ok = true;

    if (!self)
        return no_memory(err);
    while (str_ends_with(rest_url, STR("/")))
        rest_url.len--;
    self->settings = (struct arena)ARENA_INIT(SETTINGS_BYTES);
    self->options = *options;
    self->options.rest_url = arena_dup(&self->settings, rest_url, &ok);
    self->options.authorization = arena_dup(&self->settings, options->authorization, &ok);
    self->options.cache_dir = arena_dup(&self->settings, options->cache_dir, &ok);
    if (!ok) {
        kaggle_dump_downloads_free(self);
        return no_memory(err);
    }
    *out = self;
    return 0;
}

void
kaggle_dump_downloads_free(struct kaggle_dump_downloads *self)
{
    if (!self)
        return;
    arena_fini(&self->settings);
    free(self);
}

struct kaggle_dump_fetcher
kaggle_dump_downloads_fetcher(struct kaggle_dump_downloads *self)
{
    return (struct kaggle_dump_fetcher){fetch_dump, self};
}
