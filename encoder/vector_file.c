/* Reading: heads by pread (a writer may cut the file behind the last whole segment at any time),
 * lists through one mapping of the whole segments, which nobody cuts or changes. */

#include "encoder/vector_file_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "encoder/parallel.h"

#define PARTS_MAX ((size_t)1 << 20)

struct segment {
    uint64_t at; /* in the file */
    struct vector_segment_head head;
    uint64_t lists[VECTOR_N_LISTS + 1];
    size_t first_word; /* in the bitmap */
};

struct vector_file {
    size_t dim;
    dev_t device;
    ino_t inode;
    const char *bytes; /* [n_bytes], mapped */
    uint64_t n_bytes;  /* of whole segments, the file's head included */
    struct segment *segments;
    struct vector_part *parts; /* [n_parts], as segments */
    size_t n_parts;
    size_t n_room;
    uint64_t *alive; /* bit per place; a part begins with a word */
    size_t n_words;
    size_t n_live;
    size_t n_all;
};

static bool
read_head(int fd, uint64_t at, void *out, size_t n_bytes)
{
    return pread(fd, out, n_bytes, (off_t)at) == (ssize_t)n_bytes;
}

static int
check_identity(int fd, const char *path, const struct vector_file_identity *identity,
               struct error *err)
{
    struct vector_file_head head;

    if (!read_head(fd, 0, &head, sizeof(head)) || head.magic != VECTOR_FILE_MAGIC)
        return error_set(err, ERR_CORRUPT, "'%s' does not begin as a file of vectors", path);
    if (head.check != vector_checksum(&head, offsetof(struct vector_file_head, check)))
        return error_set(err, ERR_CORRUPT, "the head of '%s' is damaged", path);
    if (memcmp(head.store_id, identity->store_id, sizeof(head.store_id)) != 0)
        return error_set(err, ERR_INVALID, "'%s' belongs to another database", path);
    if (head.dim != identity->dim || head.model_bytes != identity->model.len ||
        memcmp(head.model, identity->model.ptr, identity->model.len) != 0)
        return error_set(err, ERR_INVALID, "'%s' is of another model", path);
    return 0;
}

/* The head of a segment that is whole and lies within the file. */
static bool
read_segment(int fd, uint64_t at, uint64_t n_file, size_t dim, struct segment *out)
{
    struct vector_segment_head *head = &out->head;

    if (!read_head(fd, at, head, sizeof(*head)) || head->magic != VECTOR_SEGMENT_MAGIC ||
        head->check != vector_checksum(head, offsetof(struct vector_segment_head, check)) ||
        head->place != at || head->n_rows > VECTOR_ROWS_MAX || head->n_dead > VECTOR_ROWS_MAX)
        return false;
    vector_segment_lay_out(head->n_rows, head->n_dead, dim, out->lists);
    out->at = at;
    return head->n_bytes == out->lists[VECTOR_N_LISTS] && head->n_bytes <= n_file - at;
}

static int
add_segment(struct vector_file *self, const struct segment *segment, struct error *err)
{
    if (self->n_parts == self->n_room) {
        size_t n_room = self->n_room ? 2 * self->n_room : 16;
        struct segment *segments =
            n_room > PARTS_MAX ? NULL
                               : reallocarray(self->segments, n_room, sizeof(*self->segments));

        if (!segments)
            return error_set(err, ERR_NOMEM, "no memory for %zu segments", n_room);
        self->segments = segments;
        self->n_room = n_room;
    }
    self->segments[self->n_parts] = *segment;
    self->segments[self->n_parts++].first_word = self->n_words;
    self->n_words += (segment->head.n_rows + 63) / 64;
    self->n_all += segment->head.n_rows;
    return 0;
}

static int
read_segments(struct vector_file *self, int fd, const char *path, struct error *err)
{
    struct segment segment = {0};
    struct stat stat;
    int rc = 0;

    if (fstat(fd, &stat) < 0)
        return error_set_errno(err, "cannot examine '%s'", path);
    self->device = stat.st_dev;
    self->inode = stat.st_ino;
    self->n_bytes = sizeof(struct vector_file_head);
    while (rc == 0 && self->n_bytes < (uint64_t)stat.st_size &&
           read_segment(fd, self->n_bytes, (uint64_t)stat.st_size, self->dim, &segment)) {
        rc = add_segment(self, &segment, err);
        self->n_bytes += segment.head.n_bytes;
    }
    if (rc == 0 &&
        (self->n_parts == 0 || self->segments[self->n_parts - 1].head.seq == VECTOR_SEQ_OPEN))
        rc = error_set(err, ERR_CORRUPT, "'%s' ends before its time, behind %zu segments", path,
                       self->n_parts);
    return rc;
}

static const void *
list_of(const struct vector_file *self, const struct segment *segment, enum vector_list list)
{
    return self->bytes + segment->at + segment->lists[list];
}

/* What is checked side by side. */
struct check {
    struct vector_file *file;
    atomic_size_t next_part;
    atomic_size_t damaged_part; /* SIZE_MAX = none */
};

static bool
is_segment_whole(const struct vector_file *self, const struct segment *segment)
{
    size_t n = segment->head.n_rows;
    const uint64_t sizes[] = {n * 8,
                              n * 4,
                              n * 4,
                              n * 8,
                              segment->head.n_dead * 8,
                              (n + VECTOR_FILE_BLOCK - 1) / VECTOR_FILE_BLOCK * 8};
    const uint64_t *blocks = list_of(self, segment, VECTOR_LIST_BLOCKS);
    const char *codes = list_of(self, segment, VECTOR_LIST_CODES);
    size_t code_bytes = vector_code_bytes(self->dim);
    uint64_t check = 0;

    _Static_assert(COUNT_OF(sizes) == VECTOR_LIST_CODES, "all lists before the codes");
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        check = vector_lists_check(check, list_of(self, segment, (enum vector_list)i), sizes[i]);
    if (check != segment->head.list_check)
        return false;
    for (size_t first = 0; first < n; first += VECTOR_FILE_BLOCK) {
        size_t n_block = n - first < VECTOR_FILE_BLOCK ? n - first : VECTOR_FILE_BLOCK;

        if (vector_checksum(codes + first * code_bytes, n_block * code_bytes) !=
            blocks[first / VECTOR_FILE_BLOCK])
            return false;
    }
    return true;
}

static void
check_parts(void *context, size_t worker)
{
    struct check *self = context;

    (void)worker;
    for (;;) {
        size_t i = atomic_fetch_add(&self->next_part, 1);

        if (i >= self->file->n_parts)
            return;
        if (!is_segment_whole(self->file, &self->file->segments[i]))
            atomic_store(&self->damaged_part, i);
    }
}

/* Every place counts at first, then those that segments name do not any more. */
static int
mark_alive(struct vector_file *self, struct error *err)
{
    self->alive = calloc(self->n_words + 1, sizeof(*self->alive));
    if (!self->alive)
        return error_set(err, ERR_NOMEM, "no memory for %zu places", self->n_all);
    for (size_t i = 0; i < self->n_parts; i++) {
        const struct segment *segment = &self->segments[i];
        const uint64_t *dead = list_of(self, segment, VECTOR_LIST_DEAD);
        uint64_t *words = self->alive + segment->first_word;

        for (size_t k = 0; k < segment->head.n_dead; k++) {
            if (dead[k] / 64 >= segment->first_word)
                return error_set(err, ERR_CORRUPT, "segment %zu ends the place %llu of another", i,
                                 (unsigned long long)dead[k]);
            self->alive[dead[k] / 64] &= ~(UINT64_C(1) << (dead[k] % 64));
        }
        for (size_t row = 0; row < segment->head.n_rows; row++)
            words[row / 64] |= UINT64_C(1) << (row % 64);
    }
    for (size_t i = 0; i < self->n_words; i++)
        self->n_live += (size_t)__builtin_popcountll(self->alive[i]);
    return 0;
}

static int
make_parts(struct vector_file *self, struct error *err)
{
    self->parts = calloc(self->n_parts, sizeof(*self->parts));
    if (!self->parts)
        return error_set(err, ERR_NOMEM, "no memory for %zu parts", self->n_parts);
    for (size_t i = 0; i < self->n_parts; i++) {
        const struct segment *segment = &self->segments[i];

        self->parts[i] = (struct vector_part){
            .codes = list_of(self, segment, VECTOR_LIST_CODES),
            .scales = list_of(self, segment, VECTOR_LIST_SCALES),
            .errors = list_of(self, segment, VECTOR_LIST_ERRORS),
            .vectors = list_of(self, segment, VECTOR_LIST_VECTORS),
            .checks = list_of(self, segment, VECTOR_LIST_CHECKS),
            .ids = list_of(self, segment, VECTOR_LIST_IDS),
            .allowed = self->alive + segment->first_word,
            .n_rows = segment->head.n_rows,
            .max_norm = segment->head.max_norm,
        };
    }
    return 0;
}

static int
map_and_check(struct vector_file *self, int fd, const char *path, size_t n_threads,
              struct error *err)
{
    struct check check = {.file = self};
    void *bytes = mmap(NULL, self->n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    int rc;

    if (bytes == MAP_FAILED)
        return error_set_errno(err, "cannot map '%s'", path);
    self->bytes = bytes;
    atomic_store(&check.damaged_part, SIZE_MAX);
    parallel_run(n_threads < self->n_parts ? n_threads : self->n_parts, check_parts, &check);
    if (atomic_load(&check.damaged_part) != SIZE_MAX)
        return error_set(err, ERR_CORRUPT, "segment %zu of '%s' is damaged",
                         atomic_load(&check.damaged_part), path);
    rc = mark_alive(self, err);
    return rc < 0 ? rc : make_parts(self, err);
}

int
vector_file_open(const char *path, const struct vector_file_identity *identity, size_t n_threads,
                 struct vector_file **out, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vector_file *self;
    int rc;

    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    rc = check_identity(fd, path, identity, err);
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "no memory to open '%s'", path);
    self->dim = identity->dim;
    rc = read_segments(self, fd, path, err);
    if (rc == 0)
        rc = map_and_check(self, fd, path, n_threads, err);
    if (rc < 0) {
        vector_file_close(self);
        return rc;
    }
    *out = self;
    return 0;
}

void
vector_file_close(struct vector_file *file)
{
    if (!file)
        return;
    if (file->bytes)
        (void)munmap((void *)(uintptr_t)file->bytes, file->n_bytes);
    free(file->segments);
    free(file->parts);
    free(file->alive);
    free(file);
}

struct vector_file_mark
vector_file_mark(const struct vector_file *file)
{
    const struct vector_segment_head *last = &file->segments[file->n_parts - 1].head;

    return (struct vector_file_mark){last->seq, last->nonce};
}

const struct vector_part *
vector_file_parts(const struct vector_file *file, size_t *n_parts)
{
    *n_parts = file->n_parts;
    return file->parts;
}

size_t
vector_file_live_rows(const struct vector_file *file)
{
    return file->n_live;
}

size_t
vector_file_all_rows(const struct vector_file *file)
{
    return file->n_all;
}

bool
vector_file_is_outdated(const struct vector_file *file, const char *path)
{
    struct stat now;

    return stat(path, &now) < 0 || now.st_dev != file->device || now.st_ino != file->inode ||
           (uint64_t)now.st_size != file->n_bytes;
}

bool
vector_file_find(const struct vector_file *file, int64_t id, struct vector_place *out)
{
    for (size_t i = file->n_parts; i-- > 0;) {
        const struct vector_part *part = &file->parts[i];
        size_t low = 0;
        size_t high = part->n_rows;

        if (high == 0 || id < part->ids[0] || id > part->ids[high - 1])
            continue;
        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (part->ids[middle] < id)
                low = middle + 1;
            else
                high = middle;
        }
        if (part->ids[low] == id && (part->allowed[low / 64] >> (low % 64) & 1)) {
            *out = (struct vector_place){i, low};
            return true;
        }
    }
    return false;
}

int
vector_file_append(const struct vector_file *file, const char *path,
                   const struct vector_batch *batch, const struct vector_place *dead, size_t n_dead,
                   struct vector_file_mark mark, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDWR | O_CLOEXEC);
    uint64_t *places = calloc(n_dead + 1, sizeof(*places));
    uint64_t end;
    int rc = 0;

    for (size_t i = 0; places && i < n_dead; i++)
        places[i] = file->segments[dead[i].part_idx].first_word * 64 + dead[i].row;
    if (!places)
        rc = error_set(err, ERR_NOMEM, "no memory for %zu places", n_dead);
    else if (fd < 0 || ftruncate(fd, (off_t)file->n_bytes) < 0) /* what a dead writer left */
        rc = error_set_errno(err, "cannot open '%s' to append", path);
    if (rc == 0) {
        rc = vector_segment_write(fd, file->n_bytes, batch, places, n_dead, mark, &end, err);
        if (rc < 0 && ftruncate(fd, (off_t)file->n_bytes) < 0)
            rc = error_set_errno(err, "cannot take back what was written to '%s'", path);
    }
    free(places);
    return rc;
}
