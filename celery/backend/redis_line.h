#pragma once

/* A connection that comes back: opened when something is asked, dropped when it fails, opened again
 * after growing pauses.  Private to celery/backend/redis*.
 *
 * A question that is not answered in time stays asked: its answer is awaited (and dropped, or given
 * to on_late) before the next question, so that nothing piles up before a server that is stuck. */

#include "celery/redis/redis.h"

struct redis_line {
    const struct redis_address *address;
    struct redis_options options;
    const char *first_script; /* loaded first on every connection; NULL: none */
    void (*on_late)(void *context, uint64_t number, const struct redis_value *reply); /* or NULL */
    void (*on_drop)(void *context); /* what was asked will not be answered; or NULL */
    void (*on_message)(void *context, const struct redis_value *message); /* of a subscriber */
    void *context;                                                        /* of all three */

    struct redis *redis; /* NULL: none */
    bool was_ready;      /* the present one has been */
    uint64_t n_said;     /* replies are numbered from 1 on, across connections */
    uint64_t n_heard;
    uint64_t script_number; /* of the reply to first_script */
    int64_t pause_us;       /* before the next attempt; 0: at once */
    int64_t retry_us;       /* monotonic */
    struct error failure;
};

/* What is asked, and who hears the replies.  say may be called twice: a connection that has grown
 * stale is replaced once; so what is asked must bear to be asked twice. */
struct redis_question {
    int (*say)(void *context, struct error *err); /* by redis_line_say */
    int (*hear)(void *context, size_t reply_idx, const struct redis_value *reply,
                struct error *err);
    void *context;
};

/* Append one command of a question that has n_replies of them. */
MUST_CHECK int redis_line_say(struct redis_line *line, const struct str *words, size_t n_words,
                              size_t n_replies, struct error *err);

/* Ask and hear all replies, until until_us (monotonic).  Errors: ERR_BUSY (not in time), what say
 * and hear give, those of redis_run (the connection is dropped), and again the last of these while
 * the pause lasts.  -ERR_NETWORK of hear drops the connection too. */
MUST_CHECK int redis_line_ask(struct redis_line *line, const struct redis_question *question,
                              int64_t until_us, struct error *err);

void redis_line_close(struct redis_line *line);
void redis_line_abandon(struct redis_line *line); /* in a forked child */
