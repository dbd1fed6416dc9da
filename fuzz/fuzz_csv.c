/* base/csv: every kernel, fed in steps, must say what the state machine says about the same bytes,
 * and the books must balance.  The first byte chooses flags and limits, the second the step. */

#include <stdlib.h>

#include "base/csv.h"
#include "fuzz/fuzz.h"

#define FNV_PRIME UINT64_C(0x100000001b3)

/* All that a reader said, folded into one number. */
struct verdict {
    uint64_t hash;
    uint64_t n_bytes_rejected;
};

static void
fold(struct verdict *verdict, uint64_t number)
{
    verdict->hash = (verdict->hash ^ number) * FNV_PRIME;
}

static void
fold_text(struct verdict *verdict, struct str text)
{
    fold(verdict, text.len);
    for (size_t i = 0; i < text.len; i++)
        fold(verdict, (unsigned char)text.ptr[i]);
}

static void
on_reject(void *context, const struct csv_reject *reject)
{
    struct verdict *verdict = context;

    fold(verdict, reject->record_no);
    fold(verdict, reject->offset);
    fold(verdict, reject->line_no);
    fold(verdict, reject->n_bytes);
    fold(verdict, reject->defect);
    verdict->n_bytes_rejected += reject->n_bytes;
}

/* Returns false where this processor lacks the kernel. */
static bool
read_all(struct str text, size_t step, struct csv_options options, struct verdict *verdict)
{
    CLEANUP(csv_reader_freep) struct csv_reader *reader = NULL;
    struct csv_memory memory = {.text = text, .step = step};
    const struct csv_counts *counts;
    struct csv_record record;
    struct error err;
    int rc;

    *verdict = (struct verdict){0};
    options.reject = on_reject;
    options.context = verdict;
    if (csv_reader_create(&options, csv_input_memory(&memory), &reader, &err) < 0)
        return false;
    while ((rc = csv_reader_next(reader, &record, &err)) > 0) {
        fold(verdict, record.record_no);
        fold(verdict, record.offset);
        fold(verdict, record.flags);
        fold(verdict, csv_reader_line(reader));
        for (size_t i = 0; i < record.n_fields; i++) {
            fold(verdict, csv_field_form(&record, i));
            fold_text(verdict, csv_field(&record, i));
        }
    }
    fold(verdict, (uint64_t)(int64_t)rc);
    counts = csv_reader_counts(reader);
    if (counts->n_records != counts->n_delivered + counts->n_rejected ||
        verdict->n_bytes_rejected > text.len)
        abort();
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum csv_kernel kernels[] = {CSV_KERNEL_PORTABLE, CSV_KERNEL_AVX2,
                                              CSV_KERNEL_AVX512};
    struct csv_options options = {.kernel = CSV_KERNEL_STRICT};
    struct verdict expected;
    struct str text;

    if (size < 2)
        return 0;
    text = (struct str){(const char *)data + 2, size - 2};
    options.flags = data[0] & 0x1F;
    if (data[0] & 0x20)
        options.n_columns = 3;
    if (data[0] & 0x40) {
        options.max_field_bytes = 20;
        options.max_record_bytes = 50;
        options.max_columns = 4;
    }
    if (!read_all(text, 0, options, &expected))
        abort();
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        struct verdict verdict;

        options.kernel = kernels[i];
        if (read_all(text, data[1], options, &verdict) && verdict.hash != expected.hash)
            abort();
    }
    return 0;
}
