/* Models on disk.  A model is a short list of files; each is either whole, checked against its pin,
 * or gone for. */

#include "lib/services/ml/model_store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/file.h"
#include "lib/core/download.h"
#include "lib/core/http.h"
#include "lib/core/http_headers.h"
#include "lib/services/ml/model_table.h"

#define SCRATCH_LIMIT_BYTES ((size_t)4 << 20)

/* The progress of one file as part of the whole. */
struct share {
    struct progress base; /* first: the callbacks get its address */
    const struct progress *whole;
    int64_t done_before;
    int64_t total;
};

static void
share_report(const struct progress *self, int64_t done, int64_t total)
{
    const struct share *share = (const struct share *)self;

    (void)total;
    progress_report(share->whole, share->done_before + done, share->total);
}

static bool
share_is_cancelled(const struct progress *self)
{
    return progress_is_cancelled(((const struct share *)self)->whole);
}

int
model_store_find(struct str name, const struct model **out, struct error *err)
{
    const struct model_table *table = &model_table_pinned;
    char known[200] = "";

    for (size_t i = 0; i < table->n_models; i++) {
        const struct model *model = &table->models[i];
        size_t used = strlen(known);

        if (str_equal(name, str_from_cstr(model->name)) ||
            str_equal(name, str_from_cstr(model->repo))) {
            *out = model;
            return 0;
        }
        (void)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", model->name);
    }
    return error_set(err, ERR_NOT_FOUND, "no model '%.*s' can be fetched, only: %s",
                     (int)(name.len < 100 ? name.len : 100), name.ptr ? name.ptr : "", known);
}

uint64_t
model_store_total_bytes(const struct model *model)
{
    uint64_t total = 0;

    for (size_t i = 0; i < model->n_files; i++)
        total += model->files[i].n_bytes;
    return total;
}

/* dir/name, or dir/name/file. */
static int
join_path(char out[PATH_MAX], const char *dir, const char *name, const char *file,
          struct error *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s%s%s", dir, name, file ? "/" : "", file ? file : "") <
        PATH_MAX)
        return 0;
    return error_set(err, ERR_INVALID, "path '%.80s...' is too long", dir);
}

/* The directory that a file of the store lies in. */
static int
make_parent(const char *path, struct error *err)
{
    char dir[PATH_MAX];
    size_t slash = str_find_last(str_from_cstr(path), STR("/"));

    (void)snprintf(dir, sizeof(dir), "%.*s", (int)slash, path);
    return file_make_dirs(dir, err);
}

static struct download_check
check_of(const struct model_file *file)
{
    return (struct download_check){.n_bytes = file->n_bytes, .sha256 = str_from_cstr(file->sha256)};
}

/* Where files come from: fetches one to path. */
struct origin {
    struct http_client *http; /* NULL: from_dir */
    struct str endpoint;
    const char *authorization; /* or NULL */
    const char *from_dir;
};

static int
fetch_from_hub(const struct origin *origin, const struct model *model,
               const struct model_file *file, const char *path, const struct progress *progress,
               struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(SCRATCH_LIMIT_BYTES);
    const struct download_check check = check_of(file);
    struct http_request request = {.authorization = str_from_cstr(origin->authorization)};
    struct http_response answer;
    bool ok = true;
    struct str encoded = http_url_encode(&arena, str_from_cstr(file->path), STR("/"), &ok);

    request.url =
        str_from_cstr(arena_printf(&arena, "%.*s/%s/resolve/%s/%.*s", STR_ARG(origin->endpoint),
                                   model->repo, model->revision, STR_ARG(encoded)));
    if (!ok || !request.url.ptr)
        return error_set(err, ERR_NOMEM, "no memory to fetch a model");
    return download_file(origin->http, &request, path, &check, progress, &arena, &answer, err);
}

static int
copy_from_dir(const struct origin *origin, const struct model_file *file, const char *path,
              const struct progress *progress, struct error *err)
{
    const struct download_check check = check_of(file);
    char from[PATH_MAX];
    int rc = join_path(from, origin->from_dir, file->path, NULL, err);

    return rc < 0 ? rc : download_copy(from, path, &check, progress, err);
}

/* Can the model be had without what failed here? */
static bool
is_about_network(int rc)
{
    return rc == -ERR_NETWORK || rc == -ERR_TIMEOUT || rc == -ERR_RATE_LIMIT || rc == -ERR_AUTH ||
           rc == -ERR_NOT_FOUND || rc == -ERR_INVALID;
}

static int
tell_way_out(const struct origin *origin, const struct model *model, const struct model_file *file,
             int rc, struct error *err)
{
    if (!origin->http)
        return error_wrap(err, rc, "cannot take over '%s' of model '%s'", file->path, model->name);
    if (is_about_network(rc))
        return error_wrap(err, rc,
                          "cannot fetch '%s' of model '%s' (with the files at hand: "
                          "trawl model pull --from DIR)",
                          file->path, model->name);
    return error_wrap(err, rc, "cannot fetch '%s' of model '%s'", file->path, model->name);
}

/* Make one file whole; *was_present where it was. */
static int
complete_file(const struct origin *origin, const char *store_dir, const struct model *model,
              const struct model_file *file, const struct progress *progress, bool *was_present,
              struct error *err)
{
    const struct download_check check = check_of(file);
    char path[PATH_MAX];
    int rc = join_path(path, store_dir, model->name, file->path, err);

    if (rc < 0)
        return rc;
    *was_present = download_is_whole(path, &check);
    if (*was_present) {
        progress_report(progress, (int64_t)file->n_bytes, (int64_t)file->n_bytes);
        return 0;
    }
    rc = make_parent(path, err);
    if (rc < 0)
        return rc;
    rc = origin->http ? fetch_from_hub(origin, model, file, path, progress, err)
                      : copy_from_dir(origin, file, path, progress, err);
    return rc < 0 ? tell_way_out(origin, model, file, rc, err) : 0;
}

static int
complete_model(const struct origin *origin, const char *store_dir, const struct model *model,
               const struct progress *progress, struct model_store_report *out, struct error *err)
{
    struct model_store_report report = {0};
    struct share share = {.base = {share_report, share_is_cancelled},
                          .whole = progress,
                          .total = (int64_t)model_store_total_bytes(model)};

    for (size_t i = 0; i < model->n_files; i++) {
        const struct model_file *file = &model->files[i];
        bool was_present;
        int rc;

        if (progress_is_cancelled(progress))
            return error_set(err, ERR_CANCELLED, "cancelled");
        rc = complete_file(origin, store_dir, model, file, &share.base, &was_present, err);
        if (rc < 0)
            return rc;
        share.done_before += (int64_t)file->n_bytes;
        report.n_files_present += was_present;
        report.n_files_added += !was_present;
        report.n_bytes_added += was_present ? 0 : file->n_bytes;
    }
    *out = report;
    return 0;
}

int
model_store_pull(struct http_client *http, struct str endpoint, struct str token,
                 const char *store_dir, const struct model *model, const struct progress *progress,
                 struct model_store_report *out, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(SCRATCH_LIMIT_BYTES);
    struct origin origin = {.http = http, .endpoint = endpoint};

    while (str_ends_with(origin.endpoint, STR("/")))
        origin.endpoint.len--;
    if (token.len) {
        origin.authorization = arena_printf(&arena, "Bearer %.*s", STR_ARG(token));
        if (!origin.authorization)
            return error_set(err, ERR_NOMEM, "no memory to fetch a model");
    }
    return complete_model(&origin, store_dir, model, progress, out, err);
}

int
model_store_import(const char *from_dir, const char *store_dir, const struct model *model,
                   const struct progress *progress, struct model_store_report *out,
                   struct error *err)
{
    const struct origin origin = {.from_dir = from_dir};

    return complete_model(&origin, store_dir, model, progress, out, err);
}

const char *
model_file_state_name(enum model_file_state state)
{
    static const char *const names[] = {
        [MODEL_FILE_OK] = "ok",           [MODEL_FILE_ABSENT] = "absent",
        [MODEL_FILE_PARTIAL] = "partial", [MODEL_FILE_BAD] = "bad",
        [MODEL_FILE_UNKNOWN] = "unknown",
    };

    return (size_t)state < COUNT_OF(names) ? names[state] : "unknown";
}

/* Size of a regular file, or of its .part; false when there is neither. */
static bool
find_size(const char *path, uint64_t *n_bytes, bool *is_partial)
{
    char part[PATH_MAX + 8];
    struct stat info;

    *is_partial = false;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        *n_bytes = (uint64_t)info.st_size;
        return true;
    }
    (void)snprintf(part, sizeof(part), "%s.part", path);
    *is_partial = true;
    if (stat(part, &info) < 0 || !S_ISREG(info.st_mode))
        return false;
    *n_bytes = (uint64_t)info.st_size;
    return true;
}

/* Look at one file; is_pinned: what it must be is known. */
static int
check_one(const char *dir, const struct model_file *file, bool is_pinned, struct arena *arena,
          struct model_file_status *out, struct error *err)
{
    struct model_file_status status = {.path = file->path, .state = MODEL_FILE_ABSENT};
    char path[PATH_MAX];
    char *sha256;
    bool is_partial;
    int rc = join_path(path, dir, file->path, NULL, err);

    if (rc < 0)
        return rc;
    if (!find_size(path, &status.n_bytes, &is_partial) || is_partial) {
        status.state = status.n_bytes ? MODEL_FILE_PARTIAL : MODEL_FILE_ABSENT;
        *out = status;
        return 0;
    }
    sha256 = arena_alloc(arena, SHA256_TEXT_BYTES);
    if (!sha256)
        return error_set(err, ERR_NOMEM, "no memory to check a model");
    rc = digest_sha256_file(path, sha256, err);
    if (rc < 0)
        return rc;
    status.sha256 = sha256;
    if (!is_pinned)
        status.state = MODEL_FILE_UNKNOWN;
    else
        status.state = status.n_bytes == file->n_bytes &&
                               str_equal(str_from_cstr(sha256), str_from_cstr(file->sha256))
                           ? MODEL_FILE_OK
                           : MODEL_FILE_BAD;
    *out = status;
    return 0;
}

/* The pinned model that a directory is named after, or whose weights (its largest, first file) it
 * holds; NULL for any other. */
static const struct model *
recognise(const char *dir)
{
    const struct model_table *table = &model_table_pinned;
    struct str name = str_from_cstr(dir);
    char path[PATH_MAX];

    while (name.len > 1 && str_ends_with(name, STR("/")))
        name.len--;
    if (str_find_last(name, STR("/")) < name.len)
        name = str_slice(name, str_find_last(name, STR("/")) + 1, name.len);
    for (size_t i = 0; i < table->n_models; i++) {
        const struct download_check weights = check_of(&table->models[i].files[0]);

        if (str_equal(name, str_from_cstr(table->models[i].name)))
            return &table->models[i];
        if (join_path(path, dir, table->models[i].files[0].path, NULL, NULL) == 0 &&
            download_is_whole(path, &weights))
            return &table->models[i];
    }
    return NULL;
}

int
model_store_check(const char *dir, const struct model *model, struct arena *arena,
                  struct model_check *out, struct error *err)
{
    struct model_check check = {.is_usable = true};
    const struct model *shape;
    struct stat info;

    if (stat(dir, &info) < 0)
        return error_set_errno(err, "cannot open model directory '%s'", dir);
    if (!S_ISDIR(info.st_mode))
        return error_set(err, ERR_NOT_FOUND, "'%s' is not a directory", dir);
    check.model = model ? model : recognise(dir);
    shape = check.model ? check.model : &model_table_pinned.models[0];
    check.n_files = shape->n_files;
    check.files = arena_calloc(arena, shape->n_files, sizeof(*check.files));
    if (!check.files)
        return error_set(err, ERR_NOMEM, "no memory to check a model");
    for (size_t i = 0; i < shape->n_files; i++) {
        enum model_file_state state;
        int rc = check_one(dir, &shape->files[i], check.model != NULL, arena, &check.files[i], err);

        if (rc < 0)
            return rc;
        state = check.files[i].state;
        if (check.model && state != MODEL_FILE_OK)
            check.is_usable = false;
    }
    *out = check;
    return 0;
}

static int
list_one(const char *store_dir, const struct model *model, struct arena *arena,
         struct model_listing *out, struct error *err)
{
    struct model_listing listing = {.model = model};
    char path[PATH_MAX];

    listing.dir = arena_printf(arena, "%s/%s", store_dir, model->name);
    if (!listing.dir)
        return error_set(err, ERR_NOMEM, "no memory to list models");
    for (size_t i = 0; i < model->n_files; i++) {
        uint64_t n_bytes = 0;
        bool is_partial;
        int rc = join_path(path, listing.dir, model->files[i].path, NULL, err);

        if (rc < 0)
            return rc;
        if (!find_size(path, &n_bytes, &is_partial))
            continue;
        listing.n_bytes_present += n_bytes;
        listing.n_files_present += !is_partial && n_bytes == model->files[i].n_bytes;
    }
    listing.is_complete = listing.n_files_present == model->n_files;
    *out = listing;
    return 0;
}

int
model_store_list(const char *store_dir, struct arena *arena, struct model_listing **out,
                 size_t *n_models, struct error *err)
{
    const struct model_table *table = &model_table_pinned;
    struct model_listing *listings = arena_calloc(arena, table->n_models, sizeof(*listings));

    if (!listings)
        return error_set(err, ERR_NOMEM, "no memory to list models");
    for (size_t i = 0; i < table->n_models; i++) {
        int rc = list_one(store_dir, &table->models[i], arena, &listings[i], err);

        if (rc < 0)
            return rc;
    }
    *out = listings;
    *n_models = table->n_models;
    return 0;
}
