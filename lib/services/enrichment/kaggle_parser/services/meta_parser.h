#pragma once

/* Meta Kaggle: six CSV files joined into dataset rows, in one pass over each.
 *
 * Order: Datasets, then Users and Organizations (only the owners), Tags, DatasetTags, and last
 * DatasetVersions, the big one, streamed: each current version completes its dataset and the row
 * goes out at once, so titles and descriptions are never stored.  Memory is what the datasets need,
 * about 160 bytes each, whatever the number of versions and users (docs/meta-kaggle.md has the
 * measurement).
 *
 *   - "Current" is Datasets.CurrentDatasetVersionId.  Where that is empty, the version with the
 *     largest VersionNumber is: the best so far is kept aside, within 32 MiB for all such datasets
 *     together; past that, they stay minimal (counted as META_SKIP_NO_ROOM).
 *   - The owner is OwnerUserId (Users.UserName), else OwnerOrganizationId (Organizations.Slug), and
 *     never the creator.
 *   - A version that is named and not in the file counts as empty, too; only then is the file read
 * a second time, for these datasets alone.
 *   - Datasets without any version are sent at the end, with completeness META_MINIMAL.
 *   - Columns are bound by header name, under the names of every known year (2017 to now).
 *   - Texts are as the author wrote them: HTML and control characters are the mapper's business.
 *     Only the doubled apostrophes of the 2017 dump are undone, in a dump of that shape.
 *
 * Resuming: rows come in the same order as long as the dump is the same.  Store the position of the
 * last committed row with kaggle_meta_source_fingerprint, and give it back as skip_rows when the
 * fingerprint still holds; else start from 0, which upserts make safe.  The files are read again
 * from the start either way, because the join is what costs nothing to rebuild: rows to skip cost a
 * scan, not a callback. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/clock.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_source.h"

enum meta_owner {
    META_OWNER_NONE, /* neither owner id is set, or the dump has no such columns (2017) */
    META_OWNER_USER,
    META_OWNER_ORGANIZATION,
};

enum meta_completeness {
    META_COMPLETE, /* version and ref */
    META_NO_REF,   /* version, but the owner's name or the slug is unknown: ref is absent */
    META_MINIMAL,  /* no version: id, dates, totals, tags and perhaps the owner */
};

/* One dataset.  All texts are borrowed until the callback returns, UTF-8, absent where empty.
 * Totals and sizes are -1 where unknown, times are UTC microseconds or TIME_UNKNOWN. */
struct meta_dataset {
    uint64_t position;      /* of this row in the dump, from 1: see "Resuming" */
    int64_t id;             /* Datasets.Id: the source key */
    int64_t version_id;     /* DatasetVersions.Id, 0 in a minimal row */
    int64_t version_number; /* 0 where unknown */
    struct str ref;         /* "owner/slug" */
    struct str owner;       /* user name or organisation slug */
    struct str slug;
    struct str title;
    struct str subtitle;
    struct str description;
    struct str license;    /* Kaggle's display name: "CC0: Public Domain" */
    struct str_list tags;  /* Tags.Name, in the order of DatasetTags.csv */
    int64_t n_bytes;       /* uncompressed where the dump says so, else compressed */
    int64_t created_at_us; /* Datasets.CreationDate */
    int64_t updated_at_us; /* the version's CreationDate, else Datasets.LastActivityDate */
    int64_t n_views;
    int64_t n_downloads;
    int64_t n_votes;
    int64_t n_kernels;
    enum meta_owner owner_kind;
    enum meta_completeness completeness;
};

/* A record that was left out because something is wrong with it. */
struct meta_reject {
    enum meta_file file;
    const char *file_name; /* "Datasets.csv"; static */
    uint64_t record_no;    /* from 1, the header not counted */
    uint64_t offset;       /* byte of the decompressed file where the record starts */
    uint64_t line_no;
    const char *reason; /* "column DatasetId: '12x' is not a whole number"; borrowed */
};

struct meta_progress {
    enum meta_file file;   /* being read */
    uint64_t n_bytes_read; /* of all files, as stored */
    uint64_t n_bytes_total;
    uint64_t n_rows; /* sent or skipped so far */
};

/* Who listens.  row may be NULL only to count; the others may always be.  A negative code from row
 * or progress ends the run with that code: an orderly way to cancel. */
struct meta_sink {
    int (*row)(void *context, const struct meta_dataset *row, struct error *err);
    void (*reject)(void *context, const struct meta_reject *reject);
    int (*progress)(void *context, const struct meta_progress *progress, struct error *err);
    void *context; /* borrowed */
};

/* Why a record that is not wrong was not used. */
enum meta_skip {
    META_SKIP_NOT_NEEDED,  /* a user or an organisation that owns nothing, a tag of no dataset here
                            */
    META_SKIP_OLD_VERSION, /* a version that is not the current one */
    META_SKIP_NO_DATASET,  /* a version or a tag of a dataset that Datasets.csv lacks */
    META_SKIP_NO_TAG,      /* a dataset's tag that Tags.csv lacks */
    META_SKIP_DUPLICATE,   /* an id (or a dataset's tag) for the second time */
    META_SKIP_NO_ROOM,     /* more than 256 tags on a dataset; a version past the 32 MiB above */
    META_N_SKIPS,
};

/* For each file: n_records == n_used + n_rejected + the sum of n_skipped, always. */
struct meta_file_counts {
    uint64_t n_records; /* the header not counted */
    uint64_t n_used;    /* for DatasetVersions: gone out with a row */
    uint64_t n_rejected;
    uint64_t n_skipped[META_N_SKIPS];
    uint64_t n_bad_values; /* unreadable dates and totals, taken as unknown; the record was used */
    uint64_t n_bytes;      /* decompressed */
    bool is_missing;       /* an optional file that is not there */
};

/* n_complete + n_no_ref + n_minimal == n_used of Datasets. */
struct meta_counts {
    struct meta_file_counts files[META_N_FILES];
    uint64_t n_complete;
    uint64_t n_no_ref;
    uint64_t n_minimal;
    uint64_t n_skipped_rows; /* of those, not sent because of skip_rows */
    bool is_2017_form;
};

struct meta_options {
    uint64_t skip_rows; /* rows with a position up to this are counted, not sent */
    size_t max_bytes;   /* ceiling of the join's tables; 0: 768 MiB */
};

/* Join the dump; options may be NULL.
 *
 * Datasets.csv and DatasetVersions.csv must be there.  Without Users or Organizations rows have no
 * ref (META_NO_REF), without Tags or DatasetTags they have no tags.
 * Blocking; one call at a time per source.
 * Errors: ERR_NOT_FOUND (a required file), ERR_INVALID (a required column is missing: the message
 * names file and column and lists the columns found; a bad header), ERR_NOMEM (max_bytes), those of
 * the source, and whatever row or progress return.
 */
MUST_CHECK int kaggle_meta_parser_run(struct kaggle_meta_source *source,
                                      const struct meta_options *options,
                                      const struct meta_sink *sink, struct meta_counts *out,
                                      struct error *err);

const char *kaggle_meta_skip_text(enum meta_skip skip);
