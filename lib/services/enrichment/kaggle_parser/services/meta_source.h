#pragma once

/* The six files of a Meta Kaggle dump, wherever they lie.
 *
 * A source is a directory that holds them, or one zip archive with the files anywhere in its tree.
 * In a directory each file may be NAME.csv, NAME.csv.zip or NAME.csv.gz; what it is, the first
 * bytes decide and not the name: Kaggle answers with a zip where a .csv was asked for.  A zip
 * beside its siblings has the one member NAME.csv.  Everything is decompressed as a stream, ZIP64
 * included.
 *
 * Hostile archives: more than 200 bytes out for one byte in (after the first MiB), more than
 * max_file_bytes out, an encrypted member, a bad checksum or a cut stream are errors that name the
 * file.  Nothing is ever written to disk, and no path from an archive is opened. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/csv.h"

enum meta_file {
    META_DATASETS,
    META_USERS,
    META_ORGANIZATIONS,
    META_TAGS,
    META_DATASET_TAGS,
    META_VERSIONS,
    META_N_FILES,
};

/* "Datasets.csv"; static. */
const char *kaggle_meta_file_name(enum meta_file file);

struct kaggle_meta_source; /* opaque */
struct kaggle_meta_stream; /* opaque: one file being read */

struct kaggle_meta_source_limits {
    uint64_t max_file_bytes;      /* decompressed, for each file; 0: 64 GiB */
    uint64_t max_ratio;           /* bytes out for a byte in; 0: 200 */
    uint64_t max_archive_members; /* 0: 100,000 */
};

/* path is a directory or a zip archive; limits may be NULL.  Finds the files, opens none.
 * Errors: ERR_NOT_FOUND (no such path, or neither Datasets.csv nor DatasetVersions.csv in it: the
 * message lists what was found), ERR_CORRUPT (no zip archive), ERR_INVALID (two members of one name
 * at one depth), ERR_TOO_LARGE (too many members), ERR_UNSUPPORTED, ERR_IO, ERR_NOMEM. */
MUST_CHECK int kaggle_meta_source_open(const char *path,
                                       const struct kaggle_meta_source_limits *limits,
                                       struct kaggle_meta_source **out, struct error *err);
void kaggle_meta_source_close(struct kaggle_meta_source *source);
void kaggle_meta_source_closep(struct kaggle_meta_source **source); /* for CLEANUP */

bool kaggle_meta_source_has(const struct kaggle_meta_source *source, enum meta_file file);

/* Bytes as stored (compressed where they are), 0 for a missing file. */
uint64_t kaggle_meta_source_file_bytes(const struct kaggle_meta_source *source,
                                       enum meta_file file);

/* Changes whenever one of the files does: sizes, and checksums (in an archive) or modification
 * times (in a directory). */
uint64_t kaggle_meta_source_fingerprint(const struct kaggle_meta_source *source);

/* One stream at a time per file; close it before its source.
 * Errors: ERR_NOT_FOUND, ERR_INVALID, ERR_UNSUPPORTED (encrypted, unknown method), ERR_IO,
 * ERR_NOMEM; reading adds ERR_TOO_LARGE and ERR_CORRUPT. */
MUST_CHECK int kaggle_meta_stream_open(struct kaggle_meta_source *source, enum meta_file file,
                                       struct kaggle_meta_stream **out, struct error *err);
void kaggle_meta_stream_close(struct kaggle_meta_stream *stream);
void kaggle_meta_stream_closep(struct kaggle_meta_stream **stream); /* for CLEANUP */

/* As the input of a CSV reader; borrowed from the stream. */
struct csv_input kaggle_meta_stream_input(struct kaggle_meta_stream *stream);

/* Stored bytes read so far, and bytes that came out. */
uint64_t kaggle_meta_stream_bytes_in(const struct kaggle_meta_stream *stream);
uint64_t kaggle_meta_stream_bytes_out(const struct kaggle_meta_stream *stream);
