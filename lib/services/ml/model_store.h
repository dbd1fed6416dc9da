#pragma once

/* Models on disk: fetched from the Hub or copied from a directory, verified, listed.
 *
 * Only models whose files are pinned here, by revision and SHA-256, are fetched; they lie in
 * {store_dir}/{name}/, as sentence-transformers lays them out.  A file gets its name after it
 * passed its check, so what has a name is whole. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/models/progress.h"

struct http_client;

struct model_file {
    const char *path; /* below the model's directory */
    uint64_t n_bytes;
    const char *sha256; /* hex */
};

struct model {
    const char *name; /* also the directory below the store */
    const char *repo; /* on the Hub; as good as the name */
    const char *revision;
    const struct model_file *files;
    size_t n_files;
};

/* By name or repo.  Errors: ERR_NOT_FOUND, naming the models that there are. */
MUST_CHECK int model_store_find(struct str name, const struct model **out, struct error *err);

/* What a model needs on disk. */
uint64_t model_store_total_bytes(const struct model *model);

struct model_store_report {
    size_t n_files_present; /* already whole */
    size_t n_files_added;
    uint64_t n_bytes_added;
};

/* Make the store's copy of a model whole, from {endpoint}/{repo}/resolve/{revision}/{file}.
 *
 * endpoint  "https://huggingface.co" or a mirror; a trailing slash is fine
 * token     sent as a bearer token to the endpoint's origin only; may be absent
 * progress  bytes of the whole model; may be NULL
 *
 * What is already there is verified and kept; a complete model needs no network.  A broken transfer
 * is continued by the next call.  Errors: those of download_file. */
MUST_CHECK int model_store_pull(struct http_client *http, struct str endpoint, struct str token,
                                const char *store_dir, const struct model *model,
                                const struct progress *progress, struct model_store_report *out,
                                struct error *err);

/* The same from a directory with the model's files (a checkout, a cache, a stick). */
MUST_CHECK int model_store_import(const char *from_dir, const char *store_dir,
                                  const struct model *model, const struct progress *progress,
                                  struct model_store_report *out, struct error *err);

enum model_file_state {
    MODEL_FILE_OK, /* size and SHA-256 as pinned */
    MODEL_FILE_ABSENT,
    MODEL_FILE_PARTIAL, /* only a .part of it is there */
    MODEL_FILE_BAD,     /* another size or SHA-256 */
    MODEL_FILE_UNKNOWN, /* there, and not pinned: another model's */
};

const char *model_file_state_name(enum model_file_state state);

struct model_file_status {
    const char *path; /* below the directory; static */
    enum model_file_state state;
    uint64_t n_bytes;   /* on disk */
    const char *sha256; /* of what is on disk, in the arena; NULL where there is none */
};

struct model_check {
    const struct model *model; /* NULL: none of the pinned ones */
    struct model_file_status *files;
    size_t n_files;
    bool is_usable; /* of a pinned model nothing is absent, partial or bad; others: the encoder
                       tells */
};

/* Read and hash the files of a model's directory.
 *
 * model  what it should hold; NULL = the pinned model that its last part names or its weights are,
 * and of any other directory the usual files are looked for and left unjudged out    in the arena
 *
 * A bad file is a result, no error.  Errors: ERR_NOT_FOUND (no such directory), ERR_IO, ERR_NOMEM.
 */
MUST_CHECK int model_store_check(const char *dir, const struct model *model, struct arena *arena,
                                 struct model_check *out, struct error *err);

struct model_listing {
    const struct model *model;
    const char *dir;          /* in the arena */
    size_t n_files_present;   /* by name and size: quick, not hashed */
    uint64_t n_bytes_present; /* of them and of what is partial */
    bool is_complete;
};

/* Every pinned model and how much of it the store has.  *out in the arena. */
MUST_CHECK int model_store_list(const char *store_dir, struct arena *arena,
                                struct model_listing **out, size_t *n_models, struct error *err);
