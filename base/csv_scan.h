#pragma once

/* The block scanner of the CSV reader: where fields end, 64 bytes at a time.  Private to
 * base/csv*.c; see csv_scan.c for the method. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/csv.h"

#define CSV_BLOCK_BYTES 64

/* The scanner's state.  Offsets count from the front of the reader's buffer. */
struct csv_scan {
    uint32_t *index; /* offsets of the separators found: commas and LFs outside quotes, ascending */
    size_t n_index;
    size_t at;           /* everything before this has been scanned */
    uint64_t n_newlines; /* LFs before `at`, from the start of the input, quoted ones included */
    uint64_t inside;     /* all ones inside quotes, else 0 */
    uint64_t may_open;   /* 1 where a quote may come next: after a separator or a closing quote */
    uint64_t closed;     /* 1 right after a closing quote */
    size_t suspect_from; /* blocks with NUL or non-ASCII bytes lie between these two */
    size_t suspect_to;
    bool is_stuck; /* the block at `at` holds a quote where none may stand, or text after one */
};

/* Scan n_blocks blocks from scan->at on, all within the buffer.  index needs room for 64 entries a
 * block and 64 more.  Stops at a block where it gets stuck: separators before the offending byte
 * are still reported, `at` stays before the block. */
typedef void (*csv_scan_fn)(struct csv_scan *scan, const char *bytes, size_t n_blocks);

/* NULL where this processor lacks it; CSV_KERNEL_BEST always gives one. */
csv_scan_fn csv_scan_kernel(enum csv_kernel kernel);
