/* Finding the six files, and guarding what comes out of them.
 *
 * In a directory a file is found by its name and read by its first bytes; in an archive the member
 * nearest to the root wins.  Every byte that comes out is counted against the two guards. */

#include "lib/services/enrichment/kaggle_parser/services/meta_source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_stream.h"

#define DEFAULT_FILE_BYTES ((uint64_t)64 << 30)
#define DEFAULT_RATIO      UINT64_C(200)
#define DEFAULT_MEMBERS    UINT64_C(100000)
#define FREE_OF_RATIO      ((uint64_t)1 << 20) /* a small file may be as repetitive as it likes */
#define FNV_START          UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME          UINT64_C(0x100000001b3)

static const char *const names[META_N_FILES] = {
    [META_DATASETS] = "Datasets.csv",           [META_USERS] = "Users.csv",
    [META_ORGANIZATIONS] = "Organizations.csv", [META_TAGS] = "Tags.csv",
    [META_DATASET_TAGS] = "DatasetTags.csv",    [META_VERSIONS] = "DatasetVersions.csv",
};

static const char *const suffixes[] = {"", ".zip", ".gz"};

struct entry {
    bool is_found;
    char *path;      /* in a directory; owned */
    uint64_t member; /* in an archive */
    size_t depth;    /* of the member */
    uint64_t n_bytes;
    uint64_t stamp; /* checksum or modification time */
};

struct kaggle_meta_source {
    struct kaggle_meta_source_limits limits;
    struct meta_zip *zip; /* NULL for a directory */
    struct entry entries[META_N_FILES];
};

struct kaggle_meta_stream {
    struct meta_decoder decoder;
    const struct kaggle_meta_source_limits *limits; /* the source's */
    const char *name;
    uint64_t n_bytes_stored; /* compressed size where it is; the ratio is measured against it */
    uint64_t n_bytes_out;
    bool is_compressed;
};

const char *
kaggle_meta_file_name(enum meta_file file)
{
    return names[file];
}

/* ---- finding ---- */

static int
find_in_directory(struct kaggle_meta_source *source, const char *path, struct error *err)
{
    for (size_t i = 0; i < META_N_FILES; i++) {
        struct entry *entry = &source->entries[i];

        for (size_t j = 0; j < COUNT_OF(suffixes) && !entry->is_found; j++) {
            struct stat info;

            free(entry->path);
            entry->path = NULL;
            if (asprintf(&entry->path, "%s/%s%s", path, names[i], suffixes[j]) < 0) {
                entry->path = NULL;
                return error_set(err, ERR_NOMEM, "no memory for a path");
            }
            if (stat(entry->path, &info) < 0 || !S_ISREG(info.st_mode))
                continue;
            entry->is_found = true;
            entry->n_bytes = (uint64_t)info.st_size;
            entry->stamp = (uint64_t)info.st_mtim.tv_sec * UINT64_C(1000000000) +
                           (uint64_t)info.st_mtim.tv_nsec;
        }
    }
    return 0;
}

/* Take a member as one of the six, unless a shallower one was seen. */
static int
consider_member(struct kaggle_meta_source *source, uint64_t at, struct error *err)
{
    struct str name = str_from_cstr(meta_zip_name(source->zip, at));
    struct str base = name;
    size_t depth = 0;

    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '/') {
            depth++;
            base = str_slice(name, i + 1, name.len);
        }
    }
    for (size_t i = 0; i < META_N_FILES; i++) {
        struct entry *entry = &source->entries[i];
        struct meta_zip_member member;
        int rc;

        if (!str_equal(base, str_from_cstr(names[i])) || (entry->is_found && entry->depth < depth))
            continue;
        if (entry->is_found && entry->depth == depth)
            return error_set(err, ERR_INVALID, "two members are called %s, one of them '%.*s'",
                             names[i], STR_ARG(str_slice(name, 0, 200)));
        rc = meta_zip_stat(source->zip, at, &member, err);
        if (rc < 0)
            return rc;
        *entry = (struct entry){.is_found = true,
                                .member = at,
                                .depth = depth,
                                .n_bytes = member.n_bytes_in,
                                .stamp = member.crc};
    }
    return 0;
}

static int
find_in_archive(struct kaggle_meta_source *source, const char *path, struct error *err)
{
    int rc = meta_zip_open(path, source->limits.max_archive_members, &source->zip, err);

    for (uint64_t i = 0; rc == 0 && i < meta_zip_n_members(source->zip); i++)
        rc = consider_member(source, i, err);
    return rc;
}

static int
check_found(const struct kaggle_meta_source *source, const char *path, struct error *err)
{
    char found[256] = "";
    size_t len = 0;

    if (source->entries[META_DATASETS].is_found || source->entries[META_VERSIONS].is_found)
        return 0;
    for (size_t i = 0; i < META_N_FILES; i++) {
        if (source->entries[i].is_found)
            len += (size_t)snprintf(found + len, sizeof(found) - len, "%s%s", len ? ", " : "",
                                    names[i]);
    }
    return error_set(err, ERR_NOT_FOUND,
                     "'%.200s' has neither Datasets.csv nor DatasetVersions.csv (found: %s); a "
                     "Meta Kaggle seed needs both",
                     path, len ? found : "none of the six files");
}

int
kaggle_meta_source_open(const char *path, const struct kaggle_meta_source_limits *limits,
                        struct kaggle_meta_source **out, struct error *err)
{
    CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
    struct stat info;
    int rc;

    source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(err, ERR_NOMEM, "no memory for a Meta Kaggle source");
    if (limits)
        source->limits = *limits;
    source->limits.max_file_bytes = source->limits.max_file_bytes ?: DEFAULT_FILE_BYTES;
    source->limits.max_ratio = source->limits.max_ratio ?: DEFAULT_RATIO;
    source->limits.max_archive_members = source->limits.max_archive_members ?: DEFAULT_MEMBERS;
    if (stat(path, &info) < 0)
        return error_set_errno(err, "cannot open '%.200s'", path);
    rc = S_ISDIR(info.st_mode) ? find_in_directory(source, path, err)
                               : find_in_archive(source, path, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot open '%.200s'", path);
    rc = check_found(source, path, err);
    if (rc < 0)
        return rc;
    *out = TAKE(source);
    return 0;
}

void
kaggle_meta_source_close(struct kaggle_meta_source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < META_N_FILES; i++)
        free(source->entries[i].path);
    meta_zip_close(source->zip);
    free(source);
}

void
kaggle_meta_source_closep(struct kaggle_meta_source **source)
{
    kaggle_meta_source_close(*source);
}

bool
kaggle_meta_source_has(const struct kaggle_meta_source *source, enum meta_file file)
{
    return source->entries[file].is_found;
}

uint64_t
kaggle_meta_source_file_bytes(const struct kaggle_meta_source *source, enum meta_file file)
{
    return source->entries[file].n_bytes;
}

uint64_t
kaggle_meta_source_fingerprint(const struct kaggle_meta_source *source)
{
    uint64_t hash = FNV_START; /* FNV-1a, 64-bit words for bytes */

    for (size_t i = 0; i < META_N_FILES; i++) {
        const struct entry *entry = &source->entries[i];

        hash = (hash ^ entry->is_found) * FNV_PRIME;
        hash = (hash ^ entry->n_bytes) * FNV_PRIME;
        hash = (hash ^ entry->stamp) * FNV_PRIME;
    }
    return hash;
}

/* ---- reading ---- */

/* Through both guards. */
static int
read_guarded(void *context, char *out, size_t cap, size_t *n, struct error *err)
{
    struct kaggle_meta_stream *stream = context;
    const struct kaggle_meta_source_limits *limits = stream->limits;
    uint64_t allowed;
    int rc = stream->decoder.read(stream->decoder.self, out, cap, n, err);

    if (rc < 0)
        return error_wrap(err, rc, "%s", stream->name);
    stream->n_bytes_out += *n;
    if (stream->n_bytes_out > limits->max_file_bytes)
        return error_set(err, ERR_TOO_LARGE, "%s: more than %ju bytes", stream->name,
                         (uintmax_t)limits->max_file_bytes);
    if (__builtin_mul_overflow(stream->n_bytes_stored, limits->max_ratio, &allowed) ||
        __builtin_add_overflow(allowed, FREE_OF_RATIO, &allowed))
        allowed = UINT64_MAX;
    if (stream->is_compressed && stream->n_bytes_out > allowed)
        return error_set(err, ERR_TOO_LARGE,
                         "%s: %ju bytes came out of %ju, more than %ju for one: this is no data",
                         stream->name, (uintmax_t)stream->n_bytes_out,
                         (uintmax_t)stream->n_bytes_stored, (uintmax_t)limits->max_ratio);
    return 0;
}

/* The member that a zip beside its siblings holds: the one of that name, or the only one. */
static int
open_zip_file(const struct kaggle_meta_source *source, const char *path, const char *name,
              struct meta_decoder *out, struct error *err)
{
    CLEANUP(meta_zip_closep) struct meta_zip *zip = NULL;
    uint64_t n_members;
    uint64_t at;
    int rc = meta_zip_open(path, source->limits.max_archive_members, &zip, err);

    if (rc < 0)
        return rc;
    n_members = meta_zip_n_members(zip);
    for (at = 0; at < n_members && n_members > 1; at++) {
        if (strcmp(meta_zip_name(zip, at), name) == 0)
            break;
    }
    if (at >= n_members)
        return error_set(err, ERR_NOT_FOUND, "the zip has %ju members, none called %s",
                         (uintmax_t)n_members, name);
    rc = meta_zip_open_member(zip, at, true, out, err);
    if (rc == 0)
        zip = NULL; /* the stream's now */
    return rc;
}

/* By the first bytes of the file. */
static int
open_by_magic(const struct kaggle_meta_source *source, const char *path, const char *name,
              struct kaggle_meta_stream *stream, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned char magic[4] = {0};

    if (fd < 0 || read(fd, magic, sizeof(magic)) < 0)
        return error_set_errno(err, "cannot read");
    stream->is_compressed = true;
    if (memcmp(magic, "PK\x03\x04", 4) == 0)
        return open_zip_file(source, path, name, &stream->decoder, err);
    if (magic[0] == 0x1F && magic[1] == 0x8B)
        return meta_gzip_open(path, &stream->decoder, err);
    stream->is_compressed = false;
    return meta_plain_open(path, &stream->decoder, err);
}

int
kaggle_meta_stream_open(struct kaggle_meta_source *source, enum meta_file file,
                        struct kaggle_meta_stream **out, struct error *err)
{
    const struct entry *entry = &source->entries[file];
    struct kaggle_meta_stream *stream;
    int rc;

    if (!entry->is_found)
        return error_set(err, ERR_NOT_FOUND, "%s is not there", names[file]);
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return error_set(err, ERR_NOMEM, "no memory to read %s", names[file]);
    stream->limits = &source->limits;
    stream->name = names[file];
    stream->n_bytes_stored = entry->n_bytes;
    stream->is_compressed = true;
    rc = source->zip
             ? meta_zip_open_member(source->zip, entry->member, false, &stream->decoder, err)
             : open_by_magic(source, entry->path, names[file], stream, err);
    if (rc < 0) {
        free(stream);
        return error_wrap(err, rc, "%s", names[file]);
    }
    *out = stream;
    return 0;
}

void
kaggle_meta_stream_close(struct kaggle_meta_stream *stream)
{
    if (!stream)
        return;
    stream->decoder.close(stream->decoder.self);
    free(stream);
}

void
kaggle_meta_stream_closep(struct kaggle_meta_stream **stream)
{
    kaggle_meta_stream_close(*stream);
}

struct csv_input
kaggle_meta_stream_input(struct kaggle_meta_stream *stream)
{
    return (struct csv_input){read_guarded, stream};
}

uint64_t
kaggle_meta_stream_bytes_in(const struct kaggle_meta_stream *stream)
{
    return stream->decoder.bytes_in(stream->decoder.self);
}

uint64_t
kaggle_meta_stream_bytes_out(const struct kaggle_meta_stream *stream)
{
    return stream->n_bytes_out;
}
