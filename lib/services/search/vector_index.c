/* File, changes, and the parts that a search reads: those of the file, then the changed rows.
 *
 * One process at a time writes, under a lock of its own file: the vectors' file is replaced by
 * renaming, so a lock on it would be a lock on a name that others have lost. */

#include "lib/services/search/vector_index.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "encoder/vector_file.h"

#define SEGMENT_ROWS ((size_t)16384) /* of a new file: 32 MiB in memory while it is written */
#define NAMES_BYTES  ((size_t)64 << 10)
#define THREADS_MAX  ((size_t)256) /* what the scan starts at most */

/* A search that met so many changes writes them down for the next ones; it has paid some ms for
 * them. */
#define CHANGES_MANY ((size_t)1024)

/* A file is made anew when a quarter of its rows no longer count, or it is in many small pieces. */
#define PIECES_MANY ((size_t)64)
#define ROWS_FEW    ((size_t)4096)

struct vector_index {
    struct dataset_repo *datasets;
    char path[PATH_MAX]; /* "" = in memory */
    size_t n_threads;

    char model[VECTOR_FILE_MODEL_BYTES + 1];
    struct vector_file_identity identity; /* its model is the one above */
    struct vector_file *file;             /* NULL = all rows are in changed */
    struct vector_file_mark mark;         /* what parts show; seq -1 = nothing yet */
    struct vector_batch changed;          /* rows that the file lacks */
    struct vector_place *dead;            /* [n_dead] rows of the file that no longer count */
    size_t n_dead;
    size_t dead_room;
    size_t n_changes; /* that the file does not follow */

    struct vector_part *parts; /* [n_parts] */
    size_t n_parts;
    uint64_t *alive; /* what parts allow */
    size_t n_words;
    size_t n_live;
};

int
vector_index_create(const struct vector_index_options *options, struct vector_index **out,
                    struct error *err)
{
    struct vector_index *self = calloc(1, sizeof(*self));

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for an index");
    self->datasets = options->datasets;
    self->n_threads = options->n_threads < THREADS_MAX ? options->n_threads : THREADS_MAX;
    self->mark.seq = -1;
    if (options->path &&
        snprintf(self->path, sizeof(self->path), "%s", options->path) >= PATH_MAX - 8) {
        free(self);
        return error_set(err, ERR_CONFIG, "the path '%.80s...' is too long", options->path);
    }
    *out = self;
    return 0;
}

static void
drop_parts(struct vector_index *self)
{
    free(self->parts);
    free(self->alive);
    self->parts = NULL;
    self->alive = NULL;
    self->n_parts = 0;
    self->n_words = 0;
    self->n_live = 0;
    self->mark.seq = -1;
}

static void
drop_changes(struct vector_index *self)
{
    drop_parts(self);
    vector_batch_clear(&self->changed);
    self->n_dead = 0;
    self->n_changes = 0;
}

static void
drop_file(struct vector_index *self)
{
    drop_changes(self);
    vector_file_close(self->file);
    self->file = NULL;
}

void
vector_index_free(struct vector_index *index)
{
    if (!index)
        return;
    drop_file(index);
    vector_batch_fini(&index->changed);
    free(index->dead);
    free(index);
}

size_t
vector_index_size(const struct vector_index *index)
{
    return index->n_live;
}

static void
close_lock(int *fd)
{
    file_close_fdp(fd);
}

/* 1 when the lock is ours, 0 when another process has it and we do not wait. */
static int
take_lock(const struct vector_index *self, bool wait, int *out, struct error *err)
{
    char path[PATH_MAX + 8];
    int fd;

    (void)snprintf(path, sizeof(path), "%s-lock", self->path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    if (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
        close_lock(&fd);
        return wait ? error_set_errno(err, "cannot lock '%s'", path) : 0;
    }
    *out = fd;
    return 1;
}

static int
check_dim(const struct vector_index *self, int64_t row_id, size_t dim, struct error *err)
{
    if (dim == self->identity.dim)
        return 0;
    return error_set(err, ERR_CORRUPT,
                     "the vector of row %" PRId64 " has %zu numbers, the model gives %zu", row_id,
                     dim, self->identity.dim);
}

struct build {
    struct vector_index *index;
    struct vector_writer *writer; /* NULL = into index->changed, all of it */
};

static int
add_row(void *context, const struct dataset_vector *vector, struct error *err)
{
    struct build *self = context;
    struct vector_batch *batch = &self->index->changed;
    int rc = check_dim(self->index, vector->row_id, vector->dim, err);

    if (rc == 0 && self->writer && batch->n_rows == SEGMENT_ROWS) {
        rc = vector_writer_add(self->writer, batch, err);
        vector_batch_clear(batch);
    }
    return rc < 0 ? rc : vector_batch_add(batch, vector->row_id, vector->vector, err);
}

/* All vectors of the database into a new file.  The mark is older than the rows at worst: what
 * comes in between is taken in once more, which changes nothing. */
static int
write_file(struct vector_index *self, struct vector_file_mark mark, struct error *err)
{
    struct vector_writer writer;
    struct build build = {self, &writer};
    int rc = vector_writer_open(&writer, self->path, &self->identity, err);

    if (rc < 0)
        return rc;
    rc = dataset_repo_each_vector(self->datasets, self->identity.model, add_row, &build, err);
    if (rc == 0)
        rc = vector_writer_commit(&writer, &self->changed, mark, err);
    vector_writer_close(&writer);
    vector_batch_clear(&self->changed);
    return rc;
}

static int
open_file(struct vector_index *self, struct error *err)
{
    return vector_file_open(self->path, &self->identity, self->n_threads, &self->file, err);
}

/* Why a file is written anew. */
enum cause {
    CAUSE_MISSING, /* unless another process has made it while we waited for the lock */
    CAUSE_BAD,     /* what is there must not be used */
    CAUSE_WORN     /* what is there does as well, only slower */
};

static int
build_file(struct vector_index *self, struct vector_file_mark mark, enum cause cause,
           const char *reason, struct error *err)
{
    CLEANUP(close_lock) int lock = -1;
    int rc = take_lock(self, true, &lock, err);

    if (rc < 0)
        return rc;
    drop_file(self);
    if (cause == CAUSE_MISSING && open_file(self, NULL) == 0)
        return 0;
    rc = write_file(self, mark, err);
    if (rc == 0)
        rc = open_file(self, err);
    if (rc == 0)
        log_info("vectors written for search: file=%s rows=%zu reason=%s", self->path,
                 vector_file_live_rows(self->file), reason);
    return rc;
}

/* Everything in memory; the next change costs as much again. */
static int
load_all(struct vector_index *self, struct vector_file_mark mark, struct error *err)
{
    struct build build = {self, NULL};
    int rc;

    drop_changes(self);
    rc = dataset_repo_each_vector(self->datasets, self->identity.model, add_row, &build, err);
    if (rc == 0)
        self->mark = mark;
    return rc;
}

static int
add_dead(struct vector_index *self, struct vector_place place, struct error *err)
{
    if (self->n_dead == self->dead_room) {
        size_t n_room = self->dead_room ? 2 * self->dead_room : 256;
        struct vector_place *dead = reallocarray(self->dead, n_room, sizeof(*dead));

        if (!dead)
            return error_set(err, ERR_NOMEM, "no memory for %zu places", n_room);
        self->dead = dead;
        self->dead_room = n_room;
    }
    self->dead[self->n_dead++] = place;
    return 0;
}

struct taking {
    struct vector_index *index;
    struct vector_file_mark from;
    struct vector_file_mark last;
    bool is_foreign; /* the file follows another past than this database has */
};

static int
take_change(void *context, const struct dataset_vector_change *change, struct error *err)
{
    struct taking *self = context;
    struct vector_index *index = self->index;
    struct vector_place place;
    bool is_known;
    int rc = 0;

    if (change->seq == self->from.seq) { /* the last one that the file follows */
        self->is_foreign = self->is_foreign || change->nonce != self->from.nonce;
        return 0;
    }
    if (change->seq > self->last.seq)
        self->last = (struct vector_file_mark){change->seq, change->nonce};
    index->n_changes++;
    is_known = vector_file_find(index->file, change->row_id, &place);
    if (change->vector)
        rc = check_dim(index, change->row_id, change->dim, err);
    if (rc == 0 && is_known && change->vector) {
        size_t n_parts;
        const struct vector_part *part = &vector_file_parts(index->file, &n_parts)[place.part_idx];

        if (memcmp(part->vectors + place.row * change->dim, change->vector,
                   change->dim * sizeof(float)) == 0)
            return 0; /* of a row that was given another model's beside it */
    }
    if (rc == 0 && is_known)
        rc = add_dead(index, place, err);
    if (rc == 0 && change->vector)
        rc = vector_batch_add(&index->changed, change->row_id, change->vector, err);
    return rc;
}

/* What the file lacks.  1 when it cannot be this database's. */
static int
take_changes(struct vector_index *self, const struct dataset_vector_state *state, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(NAMES_BYTES);
    struct taking taking = {.index = self, .from = vector_file_mark(self->file)};
    struct dataset_vector_state now = *state;
    int rc = 0;

    drop_changes(self);
    if (taking.from.seq > state->seq) /* another process may have seen more than we had */
        rc = dataset_repo_vector_state(self->datasets, &arena, &now, err);
    if (rc == 0 && taking.from.seq > now.seq)
        return 1;
    taking.last = taking.from;
    if (rc == 0)
        rc = dataset_repo_each_vector_change(self->datasets, self->identity.model, taking.from.seq,
                                             take_change, &taking, err);
    if (rc < 0)
        return rc;
    self->mark = taking.last;
    return taking.is_foreign;
}

static size_t
words_of(const struct vector_part *part)
{
    return (part->n_rows + 63) / 64;
}

/* The file's parts less what has died, and the changed rows. */
static int
make_parts(struct vector_index *self, struct error *err)
{
    const struct vector_part *stored = NULL;
    uint64_t *alive;

    if (self->file)
        stored = vector_file_parts(self->file, &self->n_parts);
    self->parts = calloc(self->n_parts + 1, sizeof(*self->parts));
    for (size_t i = 0; i < self->n_parts; i++)
        self->n_words += words_of(&stored[i]);
    self->alive = calloc(self->n_words + self->changed.n_rows / 64 + 1, sizeof(*self->alive));
    if (!self->parts || !self->alive)
        return error_set(err, ERR_NOMEM, "no memory for %zu parts of an index", self->n_parts);
    alive = self->alive;
    for (size_t i = 0; i < self->n_parts; i++) {
        self->parts[i] = stored[i];
        (void)memcpy(alive, stored[i].allowed, words_of(&stored[i]) * sizeof(*alive));
        self->parts[i].allowed = alive;
        for (size_t k = 0; k < self->n_dead; k++) {
            if (self->dead[k].part_idx == i)
                alive[self->dead[k].row / 64] &= ~(UINT64_C(1) << (self->dead[k].row % 64));
        }
        alive += words_of(&stored[i]);
    }
    self->parts[self->n_parts] = vector_batch_part(&self->changed);
    self->parts[self->n_parts].allowed = alive;
    for (size_t row = 0; row < self->changed.n_rows; row++)
        alive[row / 64] |= UINT64_C(1) << (row % 64);
    self->n_words += words_of(&self->parts[self->n_parts++]);
    for (size_t i = 0; i < self->n_words; i++)
        self->n_live += (size_t)__builtin_popcountll(self->alive[i]);
    return 0;
}

/* The file is damaged, foreign or not there: make it, or do without. */
static int
replace_file(struct vector_index *self, const struct dataset_vector_state *state, enum cause cause,
             const char *reason, struct error *err)
{
    struct vector_file_mark mark = {state->seq, state->nonce};
    struct error why = {0};
    int rc = build_file(self, mark, cause, reason, &why);

    if (rc == 0)
        rc = take_changes(self, state, &why);
    if (rc == 0)
        return 0;
    if (rc == 1)
        rc = error_set(&why, ERR_BUSY, "the database changes faster than its vectors are read");
    if (rc == -ERR_NOMEM || rc == -ERR_CANCELLED) {
        if (err)
            *err = why;
        return rc;
    }
    drop_file(self);
    if (cause == CAUSE_WORN && open_file(self, NULL) == 0 && take_changes(self, state, NULL) == 0) {
        log_warning("vectors not written anew, the old file stays: file=%s reason=%s", self->path,
                    why.message);
        return 0;
    }
    log_warning("vectors not written, all are held in memory: file=%s reason=%s", self->path,
                why.message);
    drop_file(self);
    self->path[0] = '\0';
    return load_all(self, mark, err);
}

static int
bring_up(struct vector_index *self, const struct dataset_vector_state *state, struct error *err)
{
    struct error why = {0};
    int rc;

    if (!self->path[0])
        return load_all(self, (struct vector_file_mark){state->seq, state->nonce}, err);
    if (self->file && vector_file_is_outdated(self->file, self->path))
        drop_file(self);
    rc = self->file ? 0 : open_file(self, &why);
    if (rc < 0) {
        if (rc == -ERR_CORRUPT)
            log_warning("vectors of search are damaged, they are written again: reason=%s",
                        why.message);
        return replace_file(self, state, CAUSE_MISSING,
                            rc == -ERR_NOT_FOUND ? "none yet" : why.message, err);
    }
    rc = take_changes(self, state, err);
    return rc == 1 ? replace_file(self, state, CAUSE_BAD, "the database has another past", err)
                   : rc;
}

static bool
is_worn(const struct vector_index *self)
{
    size_t n_parts;
    size_t n_all = vector_file_all_rows(self->file);

    (void)vector_file_parts(self->file, &n_parts);
    return n_parts > PIECES_MANY + 2 * (n_all / SEGMENT_ROWS) ||
           (n_all > ROWS_FEW && vector_file_live_rows(self->file) < n_all - n_all / 4);
}

/* Write down what the file lacks, unless another process is at it.  A failure costs the next search
 * some time and nothing else. */
static int
keep_up(struct vector_index *self, const struct dataset_vector_state *state, struct error *err)
{
    CLEANUP(close_lock) int lock = -1;
    struct error why = {0};
    int rc;

    if (is_worn(self))
        return replace_file(self, state, CAUSE_WORN, "it was worn", err);
    rc = take_lock(self, false, &lock, &why);
    if (rc == 1 && !vector_file_is_outdated(self->file, self->path)) {
        rc = vector_file_append(self->file, self->path, &self->changed, self->dead, self->n_dead,
                                self->mark, &why);
        if (rc == 0) {
            drop_file(self);
            return bring_up(self, state, err);
        }
    }
    if (rc < 0)
        log_warning("changed vectors not written, search goes on: file=%s reason=%s", self->path,
                    why.message);
    return 0;
}

static void
choose_model(struct vector_index *self, const struct dataset_vector_state *state, struct str model,
             size_t dim)
{
    if (str_equal(self->identity.model, model) && self->identity.dim == dim)
        return;
    drop_file(self);
    vector_batch_fini(&self->changed);
    vector_batch_init(&self->changed, dim);
    (void)snprintf(self->model, sizeof(self->model), "%.*s", STR_ARG(model));
    self->identity = (struct vector_file_identity){.model = str_from_cstr(self->model), .dim = dim};
    (void)memcpy(self->identity.store_id, state->database_id, sizeof(state->database_id));
}

int
vector_index_refresh(struct vector_index *index, struct str model, size_t dim,
                     enum vector_upkeep upkeep, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(NAMES_BYTES);
    struct dataset_vector_state state;
    int rc = dataset_repo_vector_state(index->datasets, &arena, &state, err);

    if (rc < 0)
        return rc;
    choose_model(index, &state, model, dim);
    if (index->mark.seq != state.seq)
        rc = bring_up(index, &state, err);
    if (rc == 0 && index->file &&
        index->n_changes >= (upkeep == VECTOR_UPKEEP_WHOLE ? 1 : CHANGES_MANY))
        rc = keep_up(index, &state, err);
    if (rc == 0 && !index->parts)
        rc = make_parts(index, err);
    if (rc < 0)
        drop_file(index);
    return rc;
}

/* The part's rows that are alive and among the allowed: both lists ascend. */
static void
mark_allowed(const struct vector_part *part, const int64_t *allowed, size_t n_allowed,
             uint64_t *out)
{
    size_t low = 0;
    size_t high = n_allowed;

    while (part->n_rows && low < high) {
        size_t middle = low + (high - low) / 2;

        if (allowed[middle] < part->ids[0])
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t row = 0; row < part->n_rows && low < n_allowed; row++) {
        while (low < n_allowed && allowed[low] < part->ids[row])
            low++;
        if (low < n_allowed && allowed[low] == part->ids[row])
            out[row / 64] |= part->allowed[row / 64] & UINT64_C(1) << (row % 64);
    }
}

static int
filter_parts(const struct vector_index *self, const int64_t *allowed, size_t n_allowed,
             struct arena *arena, const struct vector_part **out, struct error *err)
{
    struct vector_part *parts = arena_calloc(arena, self->n_parts, sizeof(*parts));
    uint64_t *words = arena_calloc(arena, self->n_words + 1, sizeof(*words));

    if (!parts || !words)
        return error_set(err, ERR_NOMEM, "no memory to filter %zu vectors", self->n_live);
    for (size_t i = 0; i < self->n_parts; i++) {
        parts[i] = self->parts[i];
        mark_allowed(&parts[i], allowed, n_allowed, words);
        parts[i].allowed = words;
        words += words_of(&parts[i]);
    }
    *out = parts;
    return 0;
}

static int
search(const struct vector_index *self, const float *query, const int64_t *allowed,
       size_t n_allowed, size_t k, struct vector_found *found, size_t *n_found, struct arena *arena,
       struct error *err)
{
    const struct vector_part *parts = self->parts;
    int rc = 0;

    if (allowed)
        rc = filter_parts(self, allowed, n_allowed, arena, &parts, err);
    if (rc < 0)
        return rc;
    return vector_search_top(parts, self->n_parts, self->identity.dim, query, k, self->n_threads,
                             found, n_found, NULL, err);
}

/* One vector was not what its checksum says. */
static int
repair(struct vector_index *self, const struct error *why, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(NAMES_BYTES);
    struct dataset_vector_state state;
    int rc = dataset_repo_vector_state(self->datasets, &arena, &state, err);

    if (rc < 0)
        return rc;
    log_warning("vectors of search are damaged, they are written again: reason=%s", why->message);
    rc = replace_file(self, &state, CAUSE_BAD, why->message, err);
    return rc < 0 ? rc : make_parts(self, err);
}

int
vector_index_search(struct vector_index *index, const float *query, const int64_t *allowed,
                    size_t n_allowed, size_t k, struct arena *arena, struct fusion_list *out,
                    struct error *err)
{
    struct vector_found *found = arena_calloc(arena, k, sizeof(*found));
    struct fusion_entry *entries = arena_calloc(arena, k, sizeof(*entries));
    struct error why = {0};
    size_t n_found = 0;
    int rc;

    if (!found || !entries)
        return error_set(err, ERR_NOMEM, "no memory for %zu hits", k);
    rc = search(index, query, allowed, n_allowed, k, found, &n_found, arena, &why);
    if (rc == -ERR_CORRUPT && index->file) {
        rc = repair(index, &why, err);
        if (rc == 0)
            rc = search(index, query, allowed, n_allowed, k, found, &n_found, arena, err);
    } else if (rc < 0 && err) {
        *err = why;
    }
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_found; i++)
        entries[i] = (struct fusion_entry){found[i].id, (double)found[i].score};
    *out = (struct fusion_list){entries, n_found};
    return 0;
}
