#pragma once

/* What a CSV reader says about a text, as a text of its own; and all kernels compared by it. */

#include <inttypes.h>

#include "base/buf.h"
#include "base/csv.h"
#include "tests/unit/check.h"

#define OUT_BYTES ((size_t)64 << 20)

static const enum csv_kernel kernels[] = {CSV_KERNEL_STRICT, CSV_KERNEL_PORTABLE, CSV_KERNEL_AVX2,
                                          CSV_KERNEL_AVX512, CSV_KERNEL_BEST};

static inline void
write_reject(void *context, const struct csv_reject *reject)
{
    buf_printf(context, "!%" PRIu64 "@%" PRIu64 ":%" PRIu64 "+%" PRIu64 " %s\n", reject->record_no,
               reject->offset, reject->line_no, reject->n_bytes, csv_defect_text(reject->defect));
}

/* A record as [a|b], a quoted field as 'a', a missing one as -, and ~ where it was repaired. */
static inline void
write_record(struct buf *out, const struct csv_record *record, struct csv_reader *reader,
             bool has_places)
{
    if (has_places)
        buf_printf(out, "%" PRIu64 "@%" PRIu64 ":%" PRIu64, record->record_no, record->offset,
                   csv_reader_line(reader));
    buf_append(out, STR("["));
    for (size_t i = 0; i < record->n_fields; i++) {
        enum csv_field_form form = csv_field_form(record, i);
        struct str quote = form == CSV_FIELD_QUOTED ? STR("'") : STR("");

        buf_append(out, i ? STR("|") : STR(""));
        buf_append(out, form == CSV_FIELD_MISSING ? STR("-") : quote);
        buf_append(out, csv_field(record, i));
        buf_append(out, quote);
        assert_int_equal(csv_field_form(record, i), form); /* unescaping keeps it */
    }
    buf_append(out, record->flags & CSV_REPAIRED ? STR("~]") : STR("]"));
    buf_append(out, record->flags & CSV_PADDED ? STR("+\n") : STR("\n"));
}

/* Read text in steps of step bytes.  Returns false where this processor lacks the kernel. */
static inline bool
transcribe(struct str text, size_t step, const struct csv_options *given, enum csv_kernel kernel,
           bool has_places, struct buf *out)
{
    CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
    struct csv_memory memory = {.text = text, .step = step};
    struct csv_options options = given ? *given : (struct csv_options){0};
    const struct csv_counts *counts;
    struct csv_record record;
    struct error err;
    int rc;

    buf_clear(out);
    options.kernel = kernel;
    options.reject = write_reject;
    options.context = out;
    rc = csv_reader_create(&options, csv_input_memory(&memory), &reader, &err);
    if (rc == -ERR_UNSUPPORTED)
        return false;
    assert_ok(rc, err);
    while ((rc = csv_reader_next(reader, &record, &err)) > 0)
        write_record(out, &record, reader, has_places);
    if (rc < 0)
        buf_printf(out, "%s: %s\n", error_code_name(rc), err.message);
    counts = csv_reader_counts(reader);
    assert_int_equal(counts->n_records, counts->n_delivered + counts->n_rejected);
    return true;
}

static inline void
compare_kernels(struct str text, const struct csv_options *options, size_t step)
{
    CLEANUP(buf_fini) struct buf expected = BUF_INIT(OUT_BYTES);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(OUT_BYTES);

    assert_true(transcribe(text, 0, options, CSV_KERNEL_STRICT, true, &expected));
    for (size_t j = 1; j < COUNT_OF(kernels); j++) {
        if (!transcribe(text, step, options, kernels[j], true, &out))
            continue;
        if (!str_equal(buf_str(&out), buf_str(&expected)))
            fail_msg(
                "kernel %d differs\n--- text ---\n%.*s\n--- strict ---\n%s\n--- kernel ---\n%s",
                (int)kernels[j], (int)(text.len < 2000 ? text.len : 2000), text.ptr,
                buf_cstr(&expected), buf_cstr(&out));
    }
}
