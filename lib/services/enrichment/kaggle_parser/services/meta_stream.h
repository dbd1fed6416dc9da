#pragma once

/* The byte streams behind kaggle_meta_source: plain, gzip and zip.  Private to meta_source.c and
 * the file of each form. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* One open stream.  read is that of struct csv_input; bytes_in counts what was taken from the
 * stored file so far. */
struct meta_decoder {
    int (*read)(void *self, char *out, size_t cap, size_t *n, struct error *err);
    uint64_t (*bytes_in)(const void *self);
    void (*close)(void *self);
    void *self; /* owned: close frees it */
};

MUST_CHECK int meta_plain_open(const char *path, struct meta_decoder *out, struct error *err);

/* Several gzip members in a row are one stream.  Errors while reading: ERR_CORRUPT. */
MUST_CHECK int meta_gzip_open(const char *path, struct meta_decoder *out, struct error *err);

struct meta_zip; /* an open archive */

struct meta_zip_member {
    uint64_t n_bytes_in;
    uint64_t n_bytes_out;
    uint32_t crc;
};

MUST_CHECK int meta_zip_open(const char *path, uint64_t max_members, struct meta_zip **out,
                             struct error *err);
void meta_zip_close(struct meta_zip *zip);
void meta_zip_closep(struct meta_zip **zip); /* for CLEANUP */
uint64_t meta_zip_n_members(const struct meta_zip *zip);

/* Borrowed from the archive; "" for a member whose name cannot be read. */
const char *meta_zip_name(const struct meta_zip *zip, uint64_t member);

/* Errors: ERR_UNSUPPORTED (encrypted, unknown method), ERR_CORRUPT. */
MUST_CHECK int meta_zip_stat(const struct meta_zip *zip, uint64_t member,
                             struct meta_zip_member *out, struct error *err);

/* owns_zip: closing the stream closes the archive too; not before it is open. */
MUST_CHECK int meta_zip_open_member(struct meta_zip *zip, uint64_t member, bool owns_zip,
                                    struct meta_decoder *out, struct error *err);
