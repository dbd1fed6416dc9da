/* Writing segments: lists first, the head last, so that what is half written does not count. */

#include "encoder/vector_file_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static int
write_at(int fd, uint64_t at, const void *bytes, uint64_t n_bytes, struct error *err)
{
    const char *from = bytes;

    while (n_bytes > 0) {
        ssize_t n = pwrite(fd, from, n_bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, "cannot write %llu bytes of vectors",
                                   (unsigned long long)n_bytes);
        from += n;
        at += (uint64_t)n;
        n_bytes -= (uint64_t)n;
    }
    return 0;
}

/* The checksums of the codes, block by block. */
static void
check_blocks(const struct vector_batch *batch, uint64_t *out)
{
    size_t code_bytes = vector_code_bytes(batch->dim);

    for (size_t first = 0; first < batch->n_rows; first += VECTOR_FILE_BLOCK) {
        size_t n = batch->n_rows - first;

        n = n < VECTOR_FILE_BLOCK ? n : VECTOR_FILE_BLOCK;
        *out++ = vector_checksum(batch->codes + first * code_bytes, n * code_bytes);
    }
}

struct list {
    const void *bytes;
    uint64_t n_bytes;
};

static void
list_all(const struct vector_batch *batch, const uint64_t *dead, size_t n_dead,
         const uint64_t *blocks, struct list out[VECTOR_N_LISTS])
{
    size_t n = batch->n_rows;
    size_t n_blocks = (n + VECTOR_FILE_BLOCK - 1) / VECTOR_FILE_BLOCK;

    out[VECTOR_LIST_IDS] = (struct list){batch->ids, n * sizeof(*batch->ids)};
    out[VECTOR_LIST_SCALES] = (struct list){batch->scales, n * sizeof(*batch->scales)};
    out[VECTOR_LIST_ERRORS] = (struct list){batch->errors, n * sizeof(*batch->errors)};
    out[VECTOR_LIST_CHECKS] = (struct list){batch->checks, n * sizeof(*batch->checks)};
    out[VECTOR_LIST_DEAD] = (struct list){dead, n_dead * sizeof(*dead)};
    out[VECTOR_LIST_BLOCKS] = (struct list){blocks, n_blocks * sizeof(*blocks)};
    out[VECTOR_LIST_CODES] = (struct list){batch->codes, n * vector_code_bytes(batch->dim)};
    out[VECTOR_LIST_VECTORS] = (struct list){batch->vectors, n * batch->dim * sizeof(float)};
}

int
vector_segment_write(int fd, uint64_t at, const struct vector_batch *batch, const uint64_t *dead,
                     size_t n_dead, struct vector_file_mark mark, uint64_t *end, struct error *err)
{
    uint64_t places[VECTOR_N_LISTS + 1];
    struct list lists[VECTOR_N_LISTS];
    struct vector_segment_head head = {
        .magic = VECTOR_SEGMENT_MAGIC,
        .n_rows = batch->n_rows,
        .n_dead = n_dead,
        .seq = mark.seq,
        .nonce = mark.nonce,
        .max_norm = batch->max_norm,
        .place = at,
    };
    uint64_t *blocks = calloc(batch->n_rows / VECTOR_FILE_BLOCK + 1, sizeof(*blocks));
    int rc = 0;

    if (!blocks)
        return error_set(err, ERR_NOMEM, "no memory for checksums");
    check_blocks(batch, blocks);
    list_all(batch, dead, n_dead, blocks, lists);
    vector_segment_lay_out(batch->n_rows, n_dead, batch->dim, places);
    head.n_bytes = places[VECTOR_N_LISTS];
    for (size_t i = 0; i < VECTOR_LIST_CODES; i++)
        head.list_check = vector_lists_check(head.list_check, lists[i].bytes, lists[i].n_bytes);
    head.check = vector_checksum(&head, offsetof(struct vector_segment_head, check));
    for (size_t i = 0; rc == 0 && i < VECTOR_N_LISTS; i++)
        rc = write_at(fd, at + places[i], lists[i].bytes, lists[i].n_bytes, err);
    free(blocks);
    if (rc == 0 && ftruncate(fd, (off_t)(at + head.n_bytes)) < 0) /* the last list's padding */
        rc = error_set_errno(err, "cannot extend a file of vectors");
    if (rc == 0)
        rc = write_at(fd, at, &head, sizeof(head), err);
    if (rc == 0)
        *end = at + head.n_bytes;
    return rc;
}

int
vector_writer_open(struct vector_writer *self, const char *path,
                   const struct vector_file_identity *identity, struct error *err)
{
    struct vector_file_head head = {
        .magic = VECTOR_FILE_MAGIC,
        .dim = identity->dim,
        .model_bytes = identity->model.len,
    };
    int rc;

    self->fd = -1;
    if (identity->dim == 0 || identity->dim > VECTOR_DIM_MAX || identity->model.len == 0 ||
        identity->model.len > VECTOR_FILE_MODEL_BYTES)
        return error_set(err, ERR_INVALID, "vectors of %zu numbers and a model's name of %zu bytes",
                         identity->dim, identity->model.len);
    if (snprintf(self->path, sizeof(self->path), "%s", path) >= PATH_MAX ||
        snprintf(self->temporary, sizeof(self->temporary), "%s.new", path) >= PATH_MAX)
        return error_set(err, ERR_INVALID, "path '%.80s...' is too long", path);
    (void)memcpy(head.store_id, identity->store_id, sizeof(head.store_id));
    (void)memcpy(head.model, identity->model.ptr, identity->model.len);
    head.check = vector_checksum(&head, offsetof(struct vector_file_head, check));
    self->fd = open(self->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (self->fd < 0)
        return error_set_errno(err, "cannot create '%s'", self->temporary);
    self->at = sizeof(head);
    rc = write_at(self->fd, 0, &head, sizeof(head), err);
    if (rc < 0)
        vector_writer_close(self);
    return rc;
}

int
vector_writer_add(struct vector_writer *self, const struct vector_batch *batch, struct error *err)
{
    const struct vector_file_mark open_end = {.seq = VECTOR_SEQ_OPEN};

    return vector_segment_write(self->fd, self->at, batch, NULL, 0, open_end, &self->at, err);
}

int
vector_writer_commit(struct vector_writer *self, const struct vector_batch *batch,
                     struct vector_file_mark mark, struct error *err)
{
    int rc = vector_segment_write(self->fd, self->at, batch, NULL, 0, mark, &self->at, err);

    if (rc == 0 && rename(self->temporary, self->path) < 0)
        rc = error_set_errno(err, "cannot rename '%s'", self->temporary);
    if (rc < 0)
        return rc;
    (void)close(self->fd);
    self->fd = -1;
    return 0;
}

void
vector_writer_close(struct vector_writer *self)
{
    if (self->fd < 0)
        return;
    (void)unlink(self->temporary);
    (void)close(self->fd);
    self->fd = -1;
}
