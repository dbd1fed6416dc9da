/* The whole Meta Kaggle join over a directory or an archive: rows, seconds, MB/s, peak memory.
 *
 *   bench_meta_kaggle PATH
 *
 * Rows go nowhere but are looked at: their text is counted. */

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"

struct totals {
    uint64_t n_text_bytes;
    uint64_t n_tags;
};

static int
look_at_row(void *context, const struct meta_dataset *row, struct error *err)
{
    struct totals *totals = context;

    (void)err;
    totals->n_text_bytes +=
        row->ref.len + row->title.len + row->subtitle.len + row->description.len + row->license.len;
    totals->n_tags += row->tags.n_items;
    return 0;
}

int
main(int argc, char **argv)
{
    CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
    struct totals totals = {0};
    struct meta_sink sink = {.row = look_at_row, .context = &totals};
    struct meta_counts counts;
    struct rusage usage;
    struct error err;
    uint64_t n_bytes = 0;
    uint64_t n_rejected = 0;
    double seconds;
    int64_t start_us;
    int rc;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_meta_kaggle PATH\n");
        return 2;
    }
    start_us = clock_mono_us(&clock_system);
    rc = kaggle_meta_source_open(argv[1], NULL, &source, &err);
    if (rc == 0)
        rc = kaggle_meta_parser_run(source, NULL, &sink, &counts, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    seconds = (double)(clock_mono_us(&clock_system) - start_us) / 1e6;
    (void)getrusage(RUSAGE_SELF, &usage);
    for (size_t i = 0; i < META_N_FILES; i++) {
        const struct meta_file_counts *file = &counts.files[i];

        n_bytes += file->n_bytes;
        n_rejected += file->n_rejected;
        (void)printf("{\"name\":\"meta kaggle file\",\"file\":\"%s\",\"bytes\":%" PRIu64
                     ",\"records\":%" PRIu64 ",\"used\":%" PRIu64 ",\"rejected\":%" PRIu64,
                     kaggle_meta_file_name((enum meta_file)i), file->n_bytes, file->n_records,
                     file->n_used, file->n_rejected);
        for (size_t j = 0; j < META_N_SKIPS; j++) {
            if (file->n_skipped[j])
                (void)printf(",\"%s\":%" PRIu64, kaggle_meta_skip_text((enum meta_skip)j),
                             file->n_skipped[j]);
        }
        (void)printf("}\n");
    }
    (void)printf("{\"name\":\"meta kaggle join\",\"unit\":\"MB/s\",\"median\":%.1f,\"n\":1,"
                 "\"seconds\":%.2f,\"bytes\":%" PRIu64 ",\"complete\":%" PRIu64
                 ",\"no_ref\":%" PRIu64 ",\"minimal\":%" PRIu64 ",\"rejected\":%" PRIu64
                 ",\"text_bytes\":%" PRIu64 ",\"tags\":%" PRIu64 ",\"peak_mib\":%.1f}\n",
                 (double)n_bytes / seconds / 1e6, seconds, n_bytes, counts.n_complete,
                 counts.n_no_ref, counts.n_minimal, n_rejected, totals.n_text_bytes, totals.n_tags,
                 (double)usage.ru_maxrss / 1024);
    return 0;
}
