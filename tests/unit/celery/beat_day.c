#include "tests/unit/celery/beat_day.h"

/* A store that passes everything on, unless it is to fail. */
struct faulty_store {
    struct beat_store base;
    struct beat_store *inner;
};

static int n_until_failure;
static enum day_fault fault;
static bool has_failed;

void
day_break(int n, enum day_fault how)
{
    n_until_failure = n;
    fault = how;
    has_failed = false;
}

bool
day_has_failed(void)
{
    return has_failed;
}

static struct beat_store *
inner(struct beat_store *store)
{
    return ((struct faulty_store *)store)->inner;
}

static int
cut_line(struct error *err)
{
    has_failed = true;
    return error_set(err, ERR_NETWORK, "the test cut the line");
}

/* Do it, or say that it failed although it was done, or do not do it. */
#define FAULTY(call)                                                                               \
    (n_until_failure > 0 && --n_until_failure == 0                                                 \
         ? (fault == FAULT_AFTER ? (error_ignore(call), cut_line(err)) : cut_line(err))            \
         : (call))

static int
faulty_look(struct beat_store *store, struct beat_lead *out, struct error *err)
{
    return FAULTY(beat_store_look(inner(store), out, err));
}

static int
faulty_take(struct beat_store *store, const struct beat_lead *seen, enum beat_answer *out,
            struct error *err)
{
    return FAULTY(beat_store_take(inner(store), seen, out, err));
}

static int
faulty_keep(struct beat_store *store, enum beat_answer *out, struct error *err)
{
    return FAULTY(beat_store_keep(inner(store), out, err));
}

static int
faulty_release(struct beat_store *store, struct error *err)
{
    return FAULTY(beat_store_release(inner(store), err));
}

static int
faulty_load(struct beat_store *store, const char *const *names, size_t n_names, int64_t anchor_us,
            struct beat_state *states, enum beat_answer *out, struct error *err)
{
    return FAULTY(beat_store_load(inner(store), names, n_names, anchor_us, states, out, err));
}

static int
faulty_send(struct beat_store *store, const char *name, int64_t slot_us,
            const struct broker_message *message, struct beat_state *state, enum beat_answer *out,
            struct error *err)
{
    return FAULTY(beat_store_send(inner(store), name, slot_us, message, state, out, err));
}

static int
faulty_skip(struct beat_store *store, const char *name, int64_t slot_us, enum beat_answer *out,
            struct error *err)
{
    return FAULTY(beat_store_skip(inner(store), name, slot_us, out, err));
}

static void
faulty_close(struct beat_store *store)
{
    beat_store_close(inner(store));
    free(store);
}

static const struct beat_store_ops faulty_ops;

static int
faulty_open(struct str url, const struct beat_store_options *options, struct beat_store **out,
            struct error *err)
{
    struct faulty_store *self = calloc(1, sizeof(*self));
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a store");
    self->base.ops = &faulty_ops;
    rc = FAULTY(beat_store_open(url, options, &self->inner, err));
    if (rc < 0) {
        faulty_close(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

static const struct beat_store_ops faulty_ops = {
    .open = faulty_open,
    .close = faulty_close,
    .look = faulty_look,
    .take = faulty_take,
    .keep = faulty_keep,
    .release = faulty_release,
    .load = faulty_load,
    .send = faulty_send,
    .skip = faulty_skip,
};

void
day_begin(struct day *day, const struct celery_schedule *rows)
{
    struct broker_options options;

    *day = (struct day){.rows = rows};
    day_break(0, FAULT_BEFORE);
    fake_clock_init(&day->clock);
    test_dir_make(day->dir);
    (void)snprintf(day->url, sizeof(day->url), "sqlite:///%s/broker.db", day->dir);
    day->judge = calloc(1, sizeof(*day->judge));
    assert_non_null(day->judge);
    options = party_options(day->judge, &day->clock.clock);
    party_open(day->judge, day->url, &options);
}

void
day_end(struct day *day)
{
    broker_close(day->judge->broker);
    free(day->judge);
    test_dir_remove(day->dir);
}

struct celery_beat_options
day_options(struct day *day)
{
    return (struct celery_beat_options){
        .broker_url = str_from_cstr(day->url),
        .rows = day->rows,
        .clock = &day->clock.clock,
        .store = &faulty_ops,
    };
}

struct celery_beat *
day_start_beat(struct day *day)
{
    const struct celery_beat_options options = day_options(day);
    struct celery_beat *beat = NULL;
    struct error err;

    assert_ok(celery_beat_create(&options, &beat, &err), err);
    return beat;
}

void
day_pass(struct day *day, struct celery_beat *const *beats, size_t n_beats, int64_t span_us)
{
    int64_t end_us = day->clock.mono_us + span_us;
    int64_t next_us[4] = {0};

    assert_true(n_beats <= COUNT_OF(next_us));
    for (;;) {
        int64_t first_us = end_us;

        for (size_t i = 0; i < n_beats; i++) {
            if (next_us[i] <= day->clock.mono_us)
                next_us[i] = day->clock.mono_us + celery_beat_turn(beats[i]);
            if (next_us[i] < first_us)
                first_us = next_us[i];
        }
        if (day->clock.mono_us >= end_us)
            return;
        fake_clock_advance(&day->clock, first_us - day->clock.mono_us);
    }
}

int64_t
day_count(struct day *day, const char *queue)
{
    return party_count(day->judge, queue);
}

static struct beat_store *
open_store(struct day *day)
{
    const struct beat_store_options options = {.owner = STR("judge")};
    struct beat_store *store = NULL;
    struct error err;

    assert_ok(beat_store_open(str_from_cstr(day->url), &options, &store, &err), err);
    return store;
}

struct beat_lead
day_lead(struct day *day)
{
    struct beat_store *store = open_store(day);
    struct beat_lead lead;
    struct error err;

    assert_ok(beat_store_look(store, &lead, &err), err);
    beat_store_close(store);
    return lead;
}

struct beat_state
day_state(struct day *day, const char *name)
{
    struct beat_store *store = open_store(day);
    struct arena arena = ARENA_INIT(1 << 20);
    struct beat_state state = {0};
    struct beat_record_list list;
    bool is_found = false;
    struct error err;

    assert_ok(beat_store_list(store, &arena, &list, &err), err);
    for (size_t i = 0; i < list.n_items; i++) {
        if (!str_equal(list.items[i].name, str_from_cstr(name)))
            continue;
        state = list.items[i].state;
        is_found = true;
    }
    assert_true(is_found);
    arena_fini(&arena);
    beat_store_close(store);
    return state;
}
