/* One window of at most 512 texts at a time:
 *
 *     tokenize (all threads) -> identical ids once -> pack -> run batches (all threads) -> copy
 * twins
 *
 * Threads take texts and batches from a counter.  Vectors land in the caller's rows directly. */

#include <stdatomic.h>

#include "encoder/encoder_state.h"
#include "encoder/parallel.h"

#define BUDGET_SHARE_MIN 32 /* tokens that are worth a thread */

/* What the threads of one step share. */
struct step {
    struct encoder *encoder;
    struct str prompt;
    size_t n_skip;           /* its tokens, where they are not pooled */
    const struct str *texts; /* the window's */
    size_t n_texts;
    float *out; /* the window's rows */
    atomic_size_t next;
    atomic_bool has_failed;
};

/* -- Tokenizing ---------------------------------------------------------------------------- */

static int
tokenize_one(struct encoder *self, struct encoder_worker *worker, struct str prompt,
             struct str text, size_t idx)
{
    struct encoder_window *window = self->window;
    size_t max_tokens = self->model.config.max_tokens;

    if (prompt.len) {
        int rc;

        buf_clear(&worker->prompted);
        buf_append(&worker->prompted, prompt);
        buf_append(&worker->prompted, text);
        rc = buf_status(&worker->prompted, &worker->err);
        if (rc < 0)
            return rc;
        text = buf_str(&worker->prompted);
    }
    return tokenizer_encode(self->tokenizer, &worker->scratch, text, max_tokens,
                            window->ids + idx * max_tokens, &window->n_ids[idx],
                            &window->flags[idx], &worker->err);
}

static void
tokenize_some(void *context, size_t worker_idx)
{
    struct step *step = context;
    struct encoder_worker *worker = &step->encoder->workers[worker_idx];
    size_t idx;

    while (worker->rc == 0 && (idx = atomic_fetch_add(&step->next, 1)) < step->n_texts)
        worker->rc = tokenize_one(step->encoder, worker, step->prompt, step->texts[idx], idx);
}

/* -- Planning ------------------------------------------------------------------------------ */

static bool
has_same_ids(const struct encoder_window *window, size_t max_tokens, size_t a, size_t b)
{
    return window->n_ids[a] == window->n_ids[b] &&
           memcmp(window->ids + a * max_tokens, window->ids + b * max_tokens,
                  window->n_ids[a] * sizeof(int32_t)) == 0;
}

/* FNV-1a over ids. */
static uint64_t
hash_ids(const int32_t *ids, size_t n_ids)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < n_ids; i++)
        hash = (hash ^ (uint64_t)ids[i]) * UINT64_C(0x100000001B3);
    return hash ^ hash >> 32;
}

/* Find texts with equal ids; returns the tokens that are left to run. */
static size_t
find_twins(struct encoder_window *window, size_t n_texts, size_t max_tokens)
{
    size_t n_tokens = 0;

    (void)memset(window->by_hash, 0, sizeof(window->by_hash));
    for (size_t i = 0; i < n_texts; i++) {
        size_t slot = (size_t)hash_ids(window->ids + i * max_tokens, window->n_ids[i]) %
                      COUNT_OF(window->by_hash);

        while (window->by_hash[slot] &&
               !has_same_ids(window, max_tokens, window->by_hash[slot] - 1, i))
            slot = (slot + 1) % COUNT_OF(window->by_hash);
        if (window->by_hash[slot]) {
            window->same_as[i] = window->by_hash[slot] - 1;
            window->run_lengths[i] = 0;
            continue;
        }
        window->by_hash[slot] = i + 1;
        window->same_as[i] = i;
        window->run_lengths[i] = window->n_ids[i];
        n_tokens += window->n_ids[i];
    }
    return n_tokens;
}

/* Small calls are spread over the threads: a share each, but not tiny ones. */
static size_t
choose_budget(const struct encoder *self, size_t n_tokens)
{
    size_t share = (n_tokens + self->n_threads - 1) / self->n_threads;

    share = share < BUDGET_SHARE_MIN ? BUDGET_SHARE_MIN : share;
    return share < self->token_budget ? share : self->token_budget;
}

static int
plan_window(struct encoder *self, size_t n_texts, struct error *err)
{
    struct encoder_window *window = self->window;
    size_t n_tokens = find_twins(window, n_texts, self->model.config.max_tokens);
    int previous = self->model.ops->enter_thread();
    int rc = 0;

    pack_plan_texts(&window->plan, window->run_lengths, n_texts, choose_budget(self, n_tokens));
    for (size_t b = 0; rc == 0 && b < window->plan.n_batches; b++)
        rc = self->model.ops->prepare(
            self->model.kernels, forward_rows(&self->model, window->plan.batches[b].n_tokens), err);
    self->model.ops->leave_thread(previous);
    return rc;
}

/* -- Running ------------------------------------------------------------------------------- */

/* The worker's batch is run; write its texts' rows. */
static void
write_rows(const struct step *step, struct encoder_worker *worker, const struct pack_batch *batch)
{
    const struct encoder *self = step->encoder;
    const struct model_config *config = &self->model.config;
    const size_t *order = self->window->plan.order + batch->first;
    const float *tokens = worker->buffers.x;

    for (size_t i = 0; i < batch->n_texts; i++) {
        pooling_run(config->pooling, tokens, worker->texts[i].n_ids, step->n_skip, config->hidden,
                    worker->vector);
        module_chain_run(self->modules, worker->vector, worker->vector_scratch,
                         step->out + order[i] * self->dim);
        tokens += worker->texts[i].n_ids * config->hidden;
    }
}

static void
run_batch(struct step *step, size_t worker_idx, const struct pack_batch *batch)
{
    struct encoder *self = step->encoder;
    struct encoder_worker *worker = &self->workers[worker_idx];
    struct encoder_window *window = self->window;

    for (size_t i = 0; i < batch->n_texts; i++) {
        size_t idx = window->plan.order[batch->first + i];

        worker->texts[i] = (struct forward_text){window->ids + idx * self->model.config.max_tokens,
                                                 window->n_ids[idx]};
    }
    worker->rc = forward_run(&self->model, &worker->buffers, worker_idx, worker->texts,
                             batch->n_texts, &worker->err);
    if (worker->rc == 0)
        write_rows(step, worker, batch);
    else
        atomic_store(&step->has_failed, true);
}

static void
run_some(void *context, size_t worker_idx)
{
    struct step *step = context;
    const struct encoder *self = step->encoder;
    const struct pack_plan *plan = &self->window->plan;
    int previous = self->model.ops->enter_thread();
    size_t idx;

    while (!atomic_load(&step->has_failed) &&
           (idx = atomic_fetch_add(&step->next, 1)) < plan->n_batches)
        run_batch(step, worker_idx, &plan->batches[idx]);
    self->model.ops->leave_thread(previous);
}

/* -- A window ------------------------------------------------------------------------------ */

/* fn on as many threads as there is work for; the first worker's failure is the step's. */
static int
run_step(struct step *step, size_t n_items, void (*fn)(void *, size_t), struct error *err)
{
    struct encoder *self = step->encoder;
    size_t n_threads = n_items < self->n_threads ? n_items : self->n_threads;

    for (size_t i = 0; i < self->n_threads; i++)
        self->workers[i].rc = 0;
    atomic_store(&step->next, 0);
    parallel_run(n_threads, fn, step);
    for (size_t i = 0; i < self->n_threads; i++) {
        if (self->workers[i].rc == 0)
            continue;
        if (err)
            *err = self->workers[i].err;
        return self->workers[i].rc;
    }
    return 0;
}

static int
embed_window(struct step *step, uint8_t *flags, bool *has_written, struct error *err)
{
    struct encoder *self = step->encoder;
    struct encoder_window *window = self->window;
    size_t n_texts = step->n_texts;
    float *out = step->out;
    /* A thread is worth its start from some texts on. */
    int rc = run_step(step, (n_texts + 15) / 16, tokenize_some, err);

    if (rc == 0)
        rc = plan_window(self, n_texts, err);
    if (rc < 0)
        return rc;
    *has_written = true;
    rc = run_step(step, window->plan.n_batches, run_some, err);
    for (size_t i = 0; rc == 0 && i < n_texts; i++) {
        if (window->same_as[i] != i)
            (void)memcpy(out + i * self->dim, out + window->same_as[i] * self->dim,
                         self->dim * sizeof(*out));
        if (flags)
            flags[i] = window->flags[i];
    }
    return rc;
}

int
encoder_embed(struct encoder *encoder, const struct str *texts, size_t n_texts, float *out,
              uint8_t *flags, struct error *err)
{
    return encoder_embed_prompted(encoder, STR_NULL, texts, n_texts, out, flags, err);
}

/* The tokens that a prompt puts in front of every text, [CLS] included. */
static int
count_prompt(struct encoder *self, struct str prompt, size_t *out, struct error *err)
{
    size_t max_tokens = self->model.config.max_tokens;
    int rc = tokenize_one(self, &self->workers[0], STR_NULL, prompt, 0);

    if (rc < 0) {
        if (err)
            *err = self->workers[0].err;
        return rc;
    }
    if (self->window->n_ids[0] >= max_tokens)
        return error_set(err, ERR_ARGS, "the prompt fills all %zu tokens of a text", max_tokens);
    *out = self->window->n_ids[0] - 1;
    return 0;
}

int
encoder_embed_prompted(struct encoder *encoder, struct str prompt, const struct str *texts,
                       size_t n_texts, float *out, uint8_t *flags, struct error *err)
{
    bool has_written = false;
    size_t n_skip = 0;
    int rc = prompt.len ? count_prompt(encoder, prompt, &n_skip, err) : 0;

    if (!encoder->model.config.skips_prompt)
        n_skip = 0;

    for (size_t i = 0; rc == 0 && i < n_texts; i += PACK_TEXTS_MAX) {
        size_t n = n_texts - i < PACK_TEXTS_MAX ? n_texts - i : PACK_TEXTS_MAX;

        struct step step = {.encoder = encoder,
                            .prompt = prompt,
                            .n_skip = n_skip,
                            .texts = texts + i,
                            .n_texts = n,
                            .out = out + i * encoder->dim};

        rc = embed_window(&step, flags ? flags + i : NULL, &has_written, err);
    }
    if (rc < 0 && has_written)
        (void)memset(out, 0, n_texts * encoder->dim * sizeof(*out));
    return rc;
}

int
encoder_tokenize(struct encoder *encoder, struct str text, struct arena *arena,
                 struct encoder_ids *out, uint8_t *flags, struct error *err)
{
    struct encoder_window *window = encoder->window;
    int32_t *ids;
    int rc = tokenize_one(encoder, &encoder->workers[0], STR_NULL, text, 0);

    if (rc < 0) {
        if (err)
            *err = encoder->workers[0].err;
        return rc;
    }
    ids = arena_calloc(arena, window->n_ids[0], sizeof(*ids));
    if (!ids)
        return error_set(err, ERR_NOMEM, "cannot hold %zu ids", window->n_ids[0]);
    (void)memcpy(ids, window->ids, window->n_ids[0] * sizeof(*ids));
    *out = (struct encoder_ids){ids, window->n_ids[0]};
    if (flags)
        *flags = window->flags[0];
    return 0;
}
