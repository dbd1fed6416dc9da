#pragma once

/* The bytes of a file of vectors, for its reader and its writer. */

#include <stddef.h>
#include <stdint.h>

#include "encoder/vector_file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file holds numbers as they lie in memory, little endian"
#endif

#define VECTOR_FILE_MAGIC    UINT64_C(0x31434556574c5254) /* "TRWLVEC1" */
#define VECTOR_SEGMENT_MAGIC UINT64_C(0x31474553574c5254) /* "TRWLSEG1" */
#define VECTOR_FILE_ALIGN    ((uint64_t)64)
#define VECTOR_ROWS_MAX      ((uint64_t)1 << 31) /* of a segment */

/* The mark of a segment that more must follow. */
#define VECTOR_SEQ_OPEN INT64_C(-1)

struct vector_file_head {
    uint64_t magic;
    uint64_t dim;
    unsigned char store_id[VECTOR_FILE_ID_BYTES];
    uint64_t model_bytes;
    char model[VECTOR_FILE_MODEL_BYTES];
    uint64_t check; /* of all before */
    char zeros[16];
};

struct vector_segment_head {
    uint64_t magic;
    uint64_t n_rows;
    uint64_t n_dead;
    uint64_t n_bytes; /* head included */
    int64_t seq;
    int64_t nonce;
    uint64_t list_check; /* of all between the head and the codes */
    float max_norm;
    uint32_t zero;
    uint64_t place; /* where in the file it begins: a head that was moved is none */
    uint64_t check; /* of all before */
    char zeros[48];
};

_Static_assert(sizeof(struct vector_file_head) % 64 == 0, "lists are aligned");
_Static_assert(sizeof(struct vector_segment_head) % 64 == 0, "lists are aligned");

enum vector_list {
    VECTOR_LIST_IDS,
    VECTOR_LIST_SCALES,
    VECTOR_LIST_ERRORS,
    VECTOR_LIST_CHECKS,
    VECTOR_LIST_DEAD,
    VECTOR_LIST_BLOCKS,
    VECTOR_LIST_CODES,
    VECTOR_LIST_VECTORS,
    VECTOR_N_LISTS
};

static inline uint64_t
vector_file_pad(uint64_t n_bytes)
{
    return (n_bytes + VECTOR_FILE_ALIGN - 1) / VECTOR_FILE_ALIGN * VECTOR_FILE_ALIGN;
}

/* Where each list of a segment begins, from the segment's beginning; [VECTOR_N_LISTS] is its end.
 * n_rows and n_dead must not exceed VECTOR_ROWS_MAX, so that nothing overflows. */
static inline void
vector_segment_lay_out(uint64_t n_rows, uint64_t n_dead, size_t dim,
                       uint64_t out[VECTOR_N_LISTS + 1])
{
    const uint64_t sizes[VECTOR_N_LISTS] = {
        [VECTOR_LIST_IDS] = n_rows * 8,
        [VECTOR_LIST_SCALES] = n_rows * 4,
        [VECTOR_LIST_ERRORS] = n_rows * 4,
        [VECTOR_LIST_CHECKS] = n_rows * 8,
        [VECTOR_LIST_DEAD] = n_dead * 8,
        [VECTOR_LIST_BLOCKS] = (n_rows + VECTOR_FILE_BLOCK - 1) / VECTOR_FILE_BLOCK * 8,
        [VECTOR_LIST_CODES] = n_rows * vector_code_bytes(dim),
        [VECTOR_LIST_VECTORS] = n_rows * dim * 4,
    };

    out[0] = sizeof(struct vector_segment_head);
    for (size_t i = 0; i < VECTOR_N_LISTS; i++)
        out[i + 1] = out[i] + vector_file_pad(sizes[i]);
}

/* The checksum of several lists, one after the other. */
static inline uint64_t
vector_lists_check(uint64_t before, const void *bytes, uint64_t n_bytes)
{
    return (before ^ vector_checksum(bytes, n_bytes)) * UINT64_C(0x9E3779B97F4A7C15);
}

/* Write a segment at `at`, its head last, and say where it ends.  *dead are places in the file's
 * count. Errors: ERR_DISK_FULL, ERR_IO. */
MUST_CHECK int vector_segment_write(int fd, uint64_t at, const struct vector_batch *batch,
                                    const uint64_t *dead, size_t n_dead,
                                    struct vector_file_mark mark, uint64_t *end, struct error *err);
