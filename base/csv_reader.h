#pragma once

/* The insides of the CSV reader, shared by csv.c (records), csv_buffer.c (the buffer and its index)
 * and csv_resync.c (rejected records and the way back).  Private to base/csv*.c. */

#include <trawl/error.h>

#include "base/csv.h"
#include "base/csv_scan.h"
#include "base/csv_strict.h"

#define CSV_FRONT_BYTES ((size_t)64)  /* before the buffer: bytes[-1] can be looked at */
#define CSV_BACK_BYTES  ((size_t)192) /* behind it: the last newline, and a block read too far */
#define CSV_WINDOW_BLOCKS                                                                          \
    ((size_t)256) /* scanned at once: 16 KiB, which stay in the first cache                        \
                   */

/*   bytes   |...delivered...|  record being read  | read, not scanned |  room  |
 *                           ^rec                  ^scan.at            ^end     ^cap */
struct csv_reader {
    struct csv_options options; /* with the defaults filled in */
    struct csv_input input;
    csv_scan_fn scan_blocks;
    struct csv_strict_rules rules;
    struct csv_scan scan;
    size_t n_blocks; /* to scan next; a power of two up to CSV_WINDOW_BLOCKS */
    size_t index_at; /* entries of the index that are used up */
    char *memory;
    char *bytes; /* memory + FRONT_BYTES */
    size_t cap;
    size_t end;
    size_t rec;        /* where the next record starts */
    uint64_t offset;   /* of bytes[0] in the input */
    size_t counted_at; /* a record's start before which there are n_counted LFs, or SIZE_MAX */
    uint64_t n_counted;
    struct str *fields;
    size_t n_fields_cap;
    size_t n_columns; /* 0 until the header is known */
    struct csv_counts counts;
    struct error failure; /* told again by every call after it */
    size_t delivered;     /* where the delivered record starts */
    bool is_at_end;       /* the input gave its last byte */
    bool is_started;      /* the byte order mark was looked for */
};

/* Put the scanner at offset `at`, where a record starts. */
void csv_reader_restart(struct csv_reader *reader, size_t at);

/* Fill the buffer up behind what belongs to the record at rec, which may move to its front.  Not to
 * be called when that is longer than max_record_bytes already. */
MUST_CHECK int csv_reader_refill(struct csv_reader *reader, struct error *err);

/* Index the next window.  Returns false where there is nothing to scan before a refill. */
bool csv_reader_scan(struct csv_reader *reader);

/* Go on behind a record of n_bytes.  Where the index has its end too, the index stays good;
 * afterwards scan.at is never before rec, so that csv_field may move newlines within the record
 * without the scanner counting them wrong. */
void csv_reader_advance(struct csv_reader *reader, size_t n_bytes);

/* The line at offset `at`, where a record starts. */
uint64_t csv_reader_line_at(struct csv_reader *reader, size_t at);

/* Find a whole record at the start of one of the lines after the first, within n_bytes from rec.
 * Returns 1 and its distance from rec, 0, or an error. */
MUST_CHECK int csv_reader_find_swallowed(struct csv_reader *reader, size_t n_bytes,
                                         size_t *distance, struct error *err);

/* Leave the record at rec out, and go on where the next good one starts.  n_bytes is its extent
 * where its structure is whole, else 0. */
MUST_CHECK int csv_reader_reject(struct csv_reader *reader, enum csv_defect defect, size_t n_bytes,
                                 struct error *err);
