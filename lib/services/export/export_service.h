#pragma once

/* The catalogue, or some rows of it, in one of the forms of export_format.h.
 *
 * First the keys of all rows that pass are read (8 bytes a row), then the rows by key, a few
 * hundred at a time: no statement stays open while the reader of the output takes its time, so
 * writers and checkpoints go on.  A row that goes meanwhile is left out; one that changes is
 * written as it is then. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/clock.h"
#include "lib/repositories/dataset_repository.h"
#include "lib/services/export/export_format.h"

struct export_service {
    struct dataset_repo *datasets; /* borrowed */
    const struct clock *clock;
};

/* Where the bytes go, and who is told of it. */
struct export_sink {
    int (*write)(void *context, struct str bytes, struct error *err);
    void (*progress)(void *context, int64_t n_done, int64_t n_total); /* may be NULL */
    bool (*is_cancelled)(void *context);                              /* may be NULL */
    void *context;                                                    /* borrowed */
};

struct export_counts {
    int64_t n_rows;
    int64_t n_incomplete; /* of these: without all that the form's standard requires */
    int64_t n_bytes;
};

/* Every row that passes, as one document, in ascending order of the catalogue's own numbers.
 * Errors: ERR_CANCELLED, the sink's and the database's. */
MUST_CHECK int export_service_run(struct export_service *self, const struct export_format *format,
                                  const struct dataset_filter *filter,
                                  const struct export_sink *sink, struct export_counts *out,
                                  struct error *err);

/* Named rows, in the order of their names: one makes a document of its own, several a catalogue.
 * Nothing is written unless all are found.
 * Errors: as above; -ERR_NOT_FOUND names the reference. */
MUST_CHECK int export_service_run_refs(struct export_service *self,
                                       const struct export_format *format, const struct str *refs,
                                       size_t n_refs, const struct export_sink *sink,
                                       struct export_counts *out, struct error *err);
