#pragma once

/* One CSV record by a plain state machine: for records with a defect, for finding the way back
 * after one, and as the oracle of the block scanner.  Private to base/csv*.c.  Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "base/csv.h"

enum csv_strict_result {
    CSV_STRICT_RECORD, /* *out tells what was found */
    CSV_STRICT_MORE,   /* the bytes end within the record, and more may come */
    CSV_STRICT_DEFECT, /* out->defect */
};

struct csv_strict_rules {
    size_t max_field_bytes;
    size_t max_record_bytes;
    size_t max_columns;
    bool is_bare_quote_text; /* a quote inside a bare field is text, else a defect */
};

struct csv_strict_record {
    size_t n_bytes; /* with its newline */
    size_t n_fields;
    bool is_blank; /* nothing but a newline */
    bool has_bare_quote;
    enum csv_defect defect;
};

/* Read the record at the front of text.  is_end says that no more bytes will come after it.
 * fields [max_columns], or NULL to count only. */
enum csv_strict_result csv_strict_parse(struct str text, bool is_end,
                                        const struct csv_strict_rules *rules, struct str *fields,
                                        struct csv_strict_record *out);
