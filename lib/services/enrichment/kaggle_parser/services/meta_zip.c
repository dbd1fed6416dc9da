/* Zip archives by libzip: ZIP64, streaming inflate, checksums verified at the end of each member.
 *
 * libzip does not tell how much of a member it has taken in.  For progress that is estimated from
 * what came out; the ratio guard uses the member's whole compressed size, which must fit into the
 * archive's file. */

#include <stdlib.h>
#include <sys/stat.h>

#include <zip.h>

#include "lib/services/enrichment/kaggle_parser/services/meta_stream.h"

struct meta_zip {
    zip_t *archive;
    uint64_t n_file_bytes;
};

struct member {
    struct meta_zip *zip;
    zip_file_t *file;
    struct meta_zip_member info;
    uint64_t n_bytes_out;
    bool owns_zip;
};

/* The kinds of libzip's failures that a caller can tell apart. */
static enum error_code
code_of(const zip_error_t *error)
{
    switch (zip_error_code_zip(error)) {
    case ZIP_ER_MEMORY:
        return ERR_NOMEM;
    case ZIP_ER_NOENT:
        return ERR_NOT_FOUND;
    case ZIP_ER_OPEN:
    case ZIP_ER_READ:
    case ZIP_ER_SEEK:
        return ERR_IO;
    case ZIP_ER_COMPNOTSUPP:
    case ZIP_ER_ENCRNOTSUPP:
    case ZIP_ER_NOPASSWD:
    case ZIP_ER_MULTIDISK:
        return ERR_UNSUPPORTED;
    default:
        return ERR_CORRUPT;
    }
}

int
meta_zip_open(const char *path, uint64_t max_members, struct meta_zip **out, struct error *err)
{
    CLEANUP(meta_zip_closep) struct meta_zip *zip = calloc(1, sizeof(*zip));
    struct stat info;
    int code = 0;

    if (!zip)
        return error_set(err, ERR_NOMEM, "no memory to read a zip archive");
    if (stat(path, &info) < 0)
        return error_set_errno(err, "cannot open");
    zip->n_file_bytes = (uint64_t)info.st_size;
    zip->archive = zip_open(path, ZIP_RDONLY, &code);
    if (!zip->archive) {
        zip_error_t error;
        int rc;

        zip_error_init_with_code(&error, code);
        rc = error_set(err, code_of(&error), "bad zip archive: %s", zip_error_strerror(&error));
        zip_error_fini(&error);
        return rc;
    }
    if (meta_zip_n_members(zip) > max_members)
        return error_set(err, ERR_TOO_LARGE, "zip archive has %ju members, more than %ju",
                         (uintmax_t)meta_zip_n_members(zip), (uintmax_t)max_members);
    *out = TAKE(zip);
    return 0;
}

void
meta_zip_close(struct meta_zip *zip)
{
    if (zip && zip->archive)
        zip_discard(zip->archive);
    free(zip);
}

void
meta_zip_closep(struct meta_zip **zip)
{
    meta_zip_close(*zip);
}

uint64_t
meta_zip_n_members(const struct meta_zip *zip)
{
    zip_int64_t n = zip_get_num_entries(zip->archive, 0);

    return n < 0 ? 0 : (uint64_t)n;
}

const char *
meta_zip_name(const struct meta_zip *zip, uint64_t member)
{
    const char *name = zip_get_name(zip->archive, member, 0);

    return name ? name : "";
}

int
meta_zip_stat(const struct meta_zip *zip, uint64_t member, struct meta_zip_member *out,
              struct error *err)
{
    const zip_uint64_t wanted = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_CRC |
                                ZIP_STAT_ENCRYPTION_METHOD | ZIP_STAT_COMP_METHOD;
    zip_stat_t info;

    if (zip_stat_index(zip->archive, member, 0, &info) < 0)
        return error_set(err, ERR_CORRUPT, "bad zip member %ju: %s", (uintmax_t)member,
                         zip_strerror(zip->archive));
    if ((info.valid & wanted) != wanted || info.comp_size > zip->n_file_bytes)
        return error_set(err, ERR_CORRUPT, "bad zip member %ju: its sizes cannot be true",
                         (uintmax_t)member);
    if (info.encryption_method != ZIP_EM_NONE)
        return error_set(err, ERR_UNSUPPORTED, "zip member '%.200s' is encrypted", info.name);
    if (!zip_compression_method_supported((zip_int32_t)info.comp_method, 0))
        return error_set(err, ERR_UNSUPPORTED, "zip member '%.200s' has compression method %u",
                         info.name, info.comp_method);
    *out = (struct meta_zip_member){info.comp_size, info.size, info.crc};
    return 0;
}

static int
read_member(void *self, char *out, size_t cap, size_t *n, struct error *err)
{
    struct member *member = self;
    zip_int64_t got = zip_fread(member->file, out, cap);

    if (got < 0) {
        zip_error_t *error = zip_file_get_error(member->file);

        return error_set(err, code_of(error), "bad zip data after %ju bytes: %s",
                         (uintmax_t)member->n_bytes_out, zip_error_strerror(error));
    }
    member->n_bytes_out += (uint64_t)got;
    if (member->n_bytes_out > member->info.n_bytes_out ||
        (got == 0 && member->n_bytes_out < member->info.n_bytes_out))
        return error_set(err, ERR_CORRUPT, "bad zip data: %ju bytes where %ju were promised",
                         (uintmax_t)member->n_bytes_out, (uintmax_t)member->info.n_bytes_out);
    *n = (size_t)got;
    return 0;
}

static uint64_t
estimate_bytes_in(const void *self)
{
    const struct member *member = self;
    const struct meta_zip_member *info = &member->info;

    if (info->n_bytes_out == 0)
        return info->n_bytes_in;
    return (uint64_t)((unsigned __int128)member->n_bytes_out * info->n_bytes_in /
                      info->n_bytes_out);
}

static void
close_member(void *self)
{
    struct member *member = self;

    (void)zip_fclose(member->file);
    if (member->owns_zip)
        meta_zip_close(member->zip);
    free(member);
}

int
meta_zip_open_member(struct meta_zip *zip, uint64_t at, bool owns_zip, struct meta_decoder *out,
                     struct error *err)
{
    struct member *member;
    struct meta_zip_member info;
    zip_file_t *file;
    int rc = meta_zip_stat(zip, at, &info, err);

    if (rc < 0)
        return rc;
    file = zip_fopen_index(zip->archive, at, 0);
    if (!file)
        return error_set(err, code_of(zip_get_error(zip->archive)), "cannot read zip member: %s",
                         zip_strerror(zip->archive));
    member = calloc(1, sizeof(*member));
    if (!member) {
        (void)zip_fclose(file);
        return error_set(err, ERR_NOMEM, "no memory to read a zip member");
    }
    *member = (struct member){.zip = zip, .file = file, .info = info, .owns_zip = owns_zip};
    *out = (struct meta_decoder){read_member, estimate_bytes_in, close_member, member};
    return 0;
}
