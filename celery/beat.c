/* The scheduler, turn by turn.
 *
 *     no store    open it, with pauses between two tries
 *     following   look at the leader's signs; none for the lease: take the next term
 *     leading     send what is due, give a sign at least every CELERY_BEAT_SIGN_US
 *
 * A failure of the store ends leadership in our eyes: the next term is taken once it is open again,
 * at once where the record still names us, and entries are loaded anew.  So what a failed send has
 * really done is read back, not guessed. */

#include "celery/beat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timestamp.h"
#include "celery/beat_message.h"
#include "celery/schedule_queue.h"
#include "celery/schedule_timing.h"

#define PAUSE_MIN_US (100 * US_PER_MS)
#define PAUSE_MAX_US (2 * US_PER_S)
#define TURN_ENTRIES 100            /* then signals get their turn */
#define LATE_US      (2 * US_PER_S) /* worth a word */
#define MONO_NEVER   INT64_MIN

struct entry {
    const struct celery_schedule *row;
    struct celery_timing timing;
    int64_t last_slot_us;
    bool has_warned; /* that the clock is behind */
};

struct celery_beat {
    struct celery_beat_options options;
    char owner[BEAT_OWNER_BYTES];
    char origin[BEAT_OWNER_BYTES];
    struct beat_store *store; /* NULL between a failure and the next try */
    struct entry *entries;    /* [n_entries] */
    size_t n_entries;
    struct celery_schedule_queue queue; /* of entries, while leading */
    bool is_leading;
    struct beat_lead seen;  /* by a follower */
    int64_t seen_at_us;     /* monotonic: unchanged since then; MONO_NEVER: not looked yet */
    int64_t told_term;      /* the leader that the log has named */
    int64_t sign_at_us;     /* monotonic: the next one is due */
    int64_t wall_us;        /* the wall clock at the last turn */
    int64_t pause_until_us; /* monotonic */
    int64_t pause_us;       /* 0 = the store works */
    enum error_code told;   /* the failure that the log has told */
};

static int
init_entries(struct celery_beat *self, struct error *err)
{
    const struct celery_schedule *rows = self->options.rows;
    size_t n_rows = 0;
    bool has_told = false;

    while (rows[n_rows].name)
        n_rows++;
    self->entries = calloc(n_rows ? n_rows : 1, sizeof(*self->entries));
    if (!self->entries)
        return error_set(err, ERR_NOMEM, "no memory for %zu schedules", n_rows);
    for (; self->n_entries < n_rows; self->n_entries++) {
        struct entry *entry = &self->entries[self->n_entries];
        struct error zone_err;
        int rc = celery_timing_init(&rows[self->n_entries], self->options.schedule_options,
                                    &entry->timing, &zone_err, err);

        if (rc < 0)
            return rc;
        if (zone_err.code != ERR_NONE && !has_told)
            log_warning("schedules are kept in UTC: reason=%s", zone_err.message);
        has_told = has_told || zone_err.code != ERR_NONE;
        entry->row = &rows[self->n_entries];
    }
    return celery_schedule_queue_init(&self->queue, n_rows, err);
}

int
celery_beat_create(const struct celery_beat_options *options, struct celery_beat **out,
                   struct error *err)
{
    CLEANUP(celery_beat_freep) struct celery_beat *self = calloc(1, sizeof(*self));
    char host[65] = "localhost";
    char random[UUID_TEXT_BYTES];
    int rc;

    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for beat");
    self->options = *options;
    if (!self->options.clock)
        self->options.clock = &clock_system;
    self->seen_at_us = MONO_NEVER;
    (void)gethostname(host, sizeof(host) - 1);
    uuid_random(random);
    (void)snprintf(self->owner, sizeof(self->owner), "%s:%d/%.8s", host, (int)getpid(), random);
    (void)snprintf(self->origin, sizeof(self->origin), "gen%d@%s", (int)getpid(), host);
    rc = init_entries(self, err);
    if (rc == 0)
        *out = TAKE(self);
    return rc;
}

void
celery_beat_free(struct celery_beat *beat)
{
    struct error err;

    if (!beat)
        return;
    if (beat->is_leading && beat_store_release(beat->store, &err) < 0)
        log_warning("leadership is not released, it runs out: reason=%s", err.message);
    beat_store_close(beat->store);
    for (size_t i = 0; i < beat->n_entries; i++)
        celery_timing_fini(&beat->entries[i].timing);
    free(beat->entries);
    celery_schedule_queue_fini(&beat->queue);
    free(beat);
}

void
celery_beat_freep(struct celery_beat **beat)
{
    celery_beat_free(*beat);
}

bool
celery_beat_is_leading(const struct celery_beat *beat)
{
    return beat->is_leading;
}

int
celery_beat_open(struct celery_beat *beat, struct error *err)
{
    struct beat_store_options options = {.owner = str_from_cstr(beat->owner),
                                         .clock = beat->options.clock};
    struct str url = beat->options.broker_url;

    if (beat->store)
        return 0;
    return beat->options.store ? beat->options.store->open(url, &options, &beat->store, err)
                               : beat_store_open(url, &options, &beat->store, err);
}

static int64_t
mono_now(const struct celery_beat *self)
{
    return clock_mono_us(self->options.clock);
}

/* Ask every entry again. */
static void
refill_queue(struct celery_beat *self)
{
    celery_schedule_queue_clear(&self->queue);
    for (size_t i = 0; i < self->n_entries; i++)
        celery_schedule_queue_push(&self->queue, INT64_MIN, i);
}

/* Somebody else leads: he took us for dead. */
static void
step_down(struct celery_beat *self)
{
    log_warning("leadership was lost to another beat: this one was stopped or slow");
    self->is_leading = false;
    self->seen_at_us = MONO_NEVER;
}

static int
load_entries(struct celery_beat *self, struct error *err)
{
    size_t n = self->n_entries ? self->n_entries : 1;
    const char **names = calloc(n, sizeof(*names));
    struct beat_state *states = calloc(n, sizeof(*states));
    enum beat_answer answer = BEAT_FENCED;
    int rc = -ERR_NOMEM;

    for (size_t i = 0; names && i < self->n_entries; i++)
        names[i] = self->entries[i].row->name;
    if (names && states)
        rc = beat_store_load(self->store, names, self->n_entries,
                             celery_timing_first_anchor(clock_now_us(self->options.clock)), states,
                             &answer, err);
    else
        (void)error_set(err, ERR_NOMEM, "no memory for %zu schedules", self->n_entries);
    for (size_t i = 0; rc == 0 && answer == BEAT_DONE && i < self->n_entries; i++)
        self->entries[i].last_slot_us = states[i].last_slot_us;
    free(names);
    free(states);
    if (rc == 0 && answer == BEAT_FENCED)
        step_down(self);
    return rc;
}

static int
take_lead(struct celery_beat *self, struct error *err)
{
    enum beat_answer answer;
    int64_t mono_us = mono_now(self);
    int rc = beat_store_take(self->store, &self->seen, &answer, err);

    if (rc < 0 || answer == BEAT_FENCED) /* another one was faster: look again */
        return rc;
    self->is_leading = true;
    self->told_term = self->seen.term + 1;
    self->sign_at_us = mono_us + CELERY_BEAT_SIGN_US;
    log_info("this beat leads: term=%" PRId64 " schedules=%zu", self->told_term, self->n_entries);
    refill_queue(self);
    return load_entries(self, err);
}

static void
note_lead(struct celery_beat *self, const struct beat_lead *lead)
{
    if (lead->term != self->told_term && lead->owner[0])
        log_info("another beat leads, this one follows: leader=%s term=%" PRId64, lead->owner,
                 lead->term);
    self->told_term = lead->term;
    self->seen = *lead;
    self->seen_at_us = mono_now(self);
}

static bool
is_same_sign(const struct beat_lead *a, const struct beat_lead *b)
{
    return a->term == b->term && a->n_signs == b->n_signs && strcmp(a->owner, b->owner) == 0;
}

static int
follow(struct celery_beat *self, struct error *err)
{
    struct beat_lead lead;
    int rc = beat_store_look(self->store, &lead, err);

    if (rc < 0)
        return rc;
    if (lead.owner[0] == '\0' || strcmp(lead.owner, self->owner) == 0) {
        self->seen = lead;
        return take_lead(self, err);
    }
    if (self->seen_at_us == MONO_NEVER || !is_same_sign(&lead, &self->seen)) {
        note_lead(self, &lead);
        return 0;
    }
    if (mono_now(self) - self->seen_at_us < BEAT_LEASE_US)
        return 0;
    log_warning("the leading beat gives no sign of life, this one takes over: leader=%s",
                lead.owner);
    return take_lead(self, err);
}

static void
tell_sent(const struct entry *entry, int64_t slot_us, int64_t now_us, const char *id)
{
    const struct celery_schedule *row = entry->row;
    char slot[TIMESTAMP_TEXT_BYTES];
    char late[48] = "";

    if (now_us - slot_us >= LATE_US)
        (void)snprintf(late, sizeof(late), " late_s=%" PRId64, (now_us - slot_us) / US_PER_S);
    log_info("sent: schedule=%s task=%s slot=%s id=%s queue=%s%s", row->name, row->task,
             timestamp_format(slot_us, slot), id, row->queue ? row->queue : "celery", late);
}

/* A message that cannot be made or that the broker refuses for what it is costs this run only. */
static bool
is_own_fault(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_TOO_LARGE || rc == -ERR_ARGS;
}

static int
send_slot(struct celery_beat *self, struct entry *entry, int64_t slot_us, struct error *err)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(BEAT_MESSAGE_BYTES);
    int64_t now_us = clock_now_us(self->options.clock);
    int64_t sign_at_us = mono_now(self) + CELERY_BEAT_SIGN_US;
    struct beat_state state = {.last_slot_us = entry->last_slot_us};
    struct broker_message message;
    enum beat_answer answer = BEAT_REPEATED;
    char id[UUID_TEXT_BYTES];
    int rc;

    uuid_random(id);
    rc = beat_message_encode(entry->row, str_from_cstr(id), str_from_cstr(self->origin), now_us,
                             &bytes, &message, err);
    if (rc == 0)
        rc =
            beat_store_send(self->store, entry->row->name, slot_us, &message, &state, &answer, err);
    if (is_own_fault(rc)) {
        log_error("not sent, the next slot is tried: schedule=%s reason=%s", entry->row->name,
                  err->message);
        entry->last_slot_us = slot_us;
        return 0;
    }
    if (rc < 0)
        return rc;
    if (answer == BEAT_FENCED) {
        step_down(self);
        return 0;
    }
    self->sign_at_us = sign_at_us;
    entry->last_slot_us = state.last_slot_us;
    if (answer == BEAT_DONE)
        tell_sent(entry, slot_us, now_us, id);
    return 0;
}

static int
skip_to(struct celery_beat *self, struct entry *entry, int64_t slot_us, struct error *err)
{
    enum beat_answer answer;
    char last[TIMESTAMP_TEXT_BYTES];
    int rc = beat_store_skip(self->store, entry->row->name, slot_us, &answer, err);

    if (rc < 0)
        return rc;
    if (answer == BEAT_FENCED) {
        step_down(self);
        return 0;
    }
    log_warning("the last slot lies in a far future, counted from now on: schedule=%s last=%s",
                entry->row->name, timestamp_format(entry->last_slot_us, last));
    entry->last_slot_us = slot_us;
    return 0;
}

static void
warn_of_clock(struct entry *entry, enum celery_due_state state)
{
    char last[TIMESTAMP_TEXT_BYTES];

    if (state == CELERY_DUE_CLOCK_BACK && !entry->has_warned)
        log_warning("the clock is behind the last slot, nothing is sent before: schedule=%s"
                    " last=%s",
                    entry->row->name, timestamp_format(entry->last_slot_us, last));
    entry->has_warned = state == CELERY_DUE_CLOCK_BACK;
}

/* One entry whose time to be asked has come. */
static int
serve_entry(struct celery_beat *self, size_t entry_idx, int64_t now_us, struct error *err)
{
    struct entry *entry = &self->entries[entry_idx];
    struct celery_due due;
    int rc = 0;

    celery_timing_due(&entry->timing, entry->last_slot_us, now_us, &due);
    warn_of_clock(entry, due.state);
    if (due.state == CELERY_DUE_NOW)
        rc = send_slot(self, entry, due.slot_us, err);
    else if (due.state == CELERY_DUE_ANCHOR_LOST)
        rc = skip_to(self, entry, due.slot_us, err);
    if (rc < 0 || !self->is_leading) /* the queue is filled again with the next term */
        return rc;
    celery_schedule_queue_push(&self->queue, due.next_check_us, entry_idx);
    return 0;
}

static int
lead(struct celery_beat *self, struct error *err)
{
    int64_t now_us = clock_now_us(self->options.clock);
    enum beat_answer answer = BEAT_DONE;
    size_t entry_idx;
    int rc = 0;

    if (now_us < self->wall_us) /* what was put off until a time of the wrong clock */
        refill_queue(self);
    self->wall_us = now_us;
    for (int i = 0; rc == 0 && self->is_leading && i < TURN_ENTRIES; i++) {
        if (!celery_schedule_queue_pop_due(&self->queue, now_us, &entry_idx))
            break;
        rc = serve_entry(self, entry_idx, now_us, err);
    }
    if (rc < 0 || !self->is_leading || mono_now(self) < self->sign_at_us)
        return rc;
    self->sign_at_us = mono_now(self) + CELERY_BEAT_SIGN_US;
    rc = beat_store_keep(self->store, &answer, err);
    if (rc == 0 && answer == BEAT_FENCED)
        step_down(self);
    return rc;
}

static void
note_failure(struct celery_beat *self, const struct error *err)
{
    /* Said once, and again where it gets worse: what a retry cannot help. */
    if (self->pause_us == 0 || (err->code != self->told && !error_is_retryable((int)err->code))) {
        log_warning("the broker does not work, nothing is sent until it does: reason=%s",
                    err->message);
        self->told = err->code;
    }
    self->pause_us = self->pause_us ? 2 * self->pause_us : PAUSE_MIN_US;
    if (self->pause_us > PAUSE_MAX_US)
        self->pause_us = PAUSE_MAX_US;
    self->pause_until_us = mono_now(self) + self->pause_us;
    self->is_leading = false;
    beat_store_close(self->store);
    self->store = NULL;
}

static void
note_success(struct celery_beat *self)
{
    if (self->pause_us > 0)
        log_info("the broker works again");
    self->pause_us = 0;
}

static int64_t
until_next_turn(const struct celery_beat *self)
{
    const struct celery_queue_item *next = celery_schedule_queue_peek(&self->queue);
    int64_t wait_us = self->sign_at_us - mono_now(self);
    int64_t now_us = clock_now_us(self->options.clock);

    if (!self->is_leading)
        return CELERY_BEAT_LOOK_US;
    if (next && next->check_us <= now_us)
        return 0;
    if (next && next->check_us - now_us < wait_us)
        wait_us = next->check_us - now_us;
    return wait_us > 0 ? wait_us : 0;
}

int64_t
celery_beat_turn(struct celery_beat *beat)
{
    struct error err = {.code = ERR_NONE};
    int64_t pause_us = beat->store ? 0 : beat->pause_until_us - mono_now(beat);
    int rc;

    if (pause_us > 0)
        return pause_us;
    rc = celery_beat_open(beat, &err);
    if (rc == 0)
        rc = beat->is_leading ? lead(beat, &err) : follow(beat, &err);
    if (rc < 0) {
        note_failure(beat, &err);
        return beat->pause_us;
    }
    note_success(beat);
    return until_next_turn(beat);
}
