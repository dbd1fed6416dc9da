#pragma once

/* One run of the join, shared by meta_parser.c (the files in their order), meta_records.c (a record
 * of each file) and meta_rows.c (rows going out).  Private to the parser. */

#include "base/buf.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_columns.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_tables.h"

struct meta_run {
    const struct meta_sink *sink;
    uint64_t skip_rows;
    struct meta_counts counts;
    struct meta_tables tables;
    struct csv_reader *reader; /* of the file being read */
    struct meta_binding binding;
    enum meta_file file;
    bool is_again;         /* DatasetVersions for the second time, for the late rows alone */
    uint64_t n_rows;       /* sent or skipped: the position of the last one */
    struct buf texts;      /* of the row going out, where they had to be changed */
    struct buf ref;        /* of the row going out */
    char reason[256];      /* why the record is rejected */
    uint64_t n_bytes_done; /* stored bytes of the files read to their end */
    uint64_t n_bytes_total;
};

/* What became of a record; META_SKIPPED + enum meta_skip where it was not needed. */
enum meta_outcome {
    META_USED,
    META_REJECTED, /* run->reason says why */
    META_PENDING,  /* a version kept aside: it is counted when its fate is known */
    META_SKIPPED,
};

typedef int (*meta_record_fn)(struct meta_run *run, const struct csv_record *record,
                              struct error *err);

/* An outcome or an error, for a record of each file. */
extern const meta_record_fn meta_record_fns[META_N_FILES];

/* Send the row of a dataset; version is NULL for a minimal one. */
MUST_CHECK int meta_run_send(struct meta_run *run, struct meta_row *row,
                             const struct meta_version *version, struct error *err);
