/* See redis_line.h. */

#include "celery/backend/redis_line.h"

#include "base/wait.h"


#define FIRST_PAUSE_US (50 * US_PER_MS)
#define MAX_PAUSE_US   (2 * US_PER_S)

/* Give the connection up.  One that never got ready is tried again after a pause, unless it is our
 * own memory that is short. */
static void
drop(struct redis_line *line, const struct error *why)
{
    if (line->was_ready || why->code == ERR_NOMEM)
        line->pause_us = 0;
    else if (line->pause_us == 0)
        line->pause_us = FIRST_PAUSE_US;
    else
        line->pause_us = line->pause_us < MAX_PAUSE_US / 2 ? line->pause_us * 2 : MAX_PAUSE_US;
    line->retry_us = clock_mono_us(&clock_system) + line->pause_us;
    line->failure = *why;
    redis_line_close(line);
    if (line->on_drop)
        line->on_drop(line->context);
}

int
redis_line_say(struct redis_line *line, const struct str *words, size_t n_words, size_t n_replies,
               struct error *err)
{
    int rc = redis_command(line->redis, words, n_words, err);

    if (rc == 0)
        line->n_said += n_replies;
    return rc;
}

static int
open_line(struct redis_line *line, struct error *err)
{
    struct error why;
    int rc;

    if (line->redis)
        return 0;
    if (line->pause_us > 0 && clock_mono_us(&clock_system) < line->retry_us) {
        if (err)
            *err = line->failure;
        return -(int)line->failure.code;
    }
    line->was_ready = false;
    rc = redis_open(line->address, &line->options, &line->redis, &why);
    if (rc == 0 && line->first_script) {
        const struct str words[] = {STR("SCRIPT"), STR("LOAD"), str_from_cstr(line->first_script)};

        rc = redis_line_say(line, words, COUNT_OF(words), 1, &why);
        line->script_number = line->n_said;
    }
    if (rc < 0) {
        drop(line, &why);
        if (err)
            *err = why;
    }
    return rc;
}

static void
wait_for(const struct redis_line *line, int64_t until_us)
{
    struct redis_wait wait;

    redis_get_wait(line->redis, &wait);
    if (wait.deadline_us < until_us)
        until_us = wait.deadline_us;
    (void)wait_for_fd(wait.fd, wait.events, until_us);
}

/* Take the next reply if it is there; messages on the way find their owner. */
static bool
take_reply(struct redis_line *line, const struct redis_value **out)
{
    while (redis_take(line->redis, out)) {
        const struct redis_value *value = *out;

        if (!line->on_message || value->kind != REDIS_ARRAY || value->n_items != 3 ||
            !str_equal(value->items[0].text, STR("message")))
            return true;
        line->on_message(line->context, value);
    }
    return false;
}

/* The next reply, or failure. */
static int
next_reply(struct redis_line *line, int64_t until_us, const struct redis_value **out,
           struct error *err)
{
    struct error why;

    while (!take_reply(line, out)) {
        int rc = redis_run(line->redis, &why);

        if (rc < 0) {
            drop(line, &why);
            if (err)
                *err = why;
            return rc;
        }
        if (redis_is_ready(line->redis) && !line->was_ready) {
            line->was_ready = true;
            line->pause_us = 0;
        }
        if (take_reply(line, out))
            break;
        if (clock_mono_us(&clock_system) >= until_us)
            return error_set(err, ERR_BUSY, "the Redis server has not answered yet");
        wait_for(line, until_us);
    }
    line->n_heard++;
    return 0;
}

/* The replies up to this number, that somebody asked for earlier. */
static int
hear_late(struct redis_line *line, uint64_t until_number, int64_t until_us, struct error *err)
{
    while (line->n_heard < until_number) {
        const struct redis_value *reply;
        int rc = next_reply(line, until_us, &reply, err);

        if (rc == 0 && line->n_heard == line->script_number)
            rc = redis_check(reply, err);
        if (rc < 0)
            return rc;
        if (line->on_late)
            line->on_late(line->context, line->n_heard, reply);
    }
    return 0;
}

static int
ask_once(struct redis_line *line, const struct redis_question *question, int64_t until_us,
         struct error *err)
{
    uint64_t n_before = line->n_said;
    size_t reply_idx = 0;
    int rc = open_line(line, err);

    if (rc == 0)
        rc = hear_late(line, n_before, until_us, err);
    if (rc == 0) {
        n_before = line->n_said; /* with the script of a new connection */
        rc = question->say(question->context, err);
    }
    if (rc == 0)
        rc = hear_late(line, n_before, until_us, err);
    while (rc == 0 && line->n_heard < line->n_said) {
        const struct redis_value *reply;

        rc = next_reply(line, until_us, &reply, err);
        if (rc < 0)
            return rc;
        rc = question->hear(question->context, reply_idx++, reply, err);
    }
    return rc;
}

int
redis_line_ask(struct redis_line *line, const struct redis_question *question, int64_t until_us,
               struct error *err)
{
    bool was_ready = line->redis && line->was_ready;
    struct error why = {.code = ERR_NONE};
    int rc = ask_once(line, question, until_us, &why);

    if (rc == -ERR_NETWORK && line->redis)
        drop(line, &why);
    if (rc == -ERR_NETWORK && !line->redis && was_ready)
        rc = ask_once(line, question, until_us, &why);
    if (rc == -ERR_NETWORK && line->redis)
        drop(line, &why);
    if (rc < 0 && err)
        *err = why;
    return rc;
}

void
redis_line_close(struct redis_line *line)
{
    redis_close(line->redis);
    line->redis = NULL;
    line->n_heard = line->n_said;
}

void
redis_line_abandon(struct redis_line *line)
{
    redis_forget(line->redis);
    line->redis = NULL;
}
