#pragma once

/* Events: what workers and clients tell of themselves and of tasks, as Celery has it.  Pure, any
 * thread.
 *
 *     exchange celeryev, routing key = type with '.' for '-'; headers {"hostname": node}
 *     body     {"type": ., "hostname": ., "utcoffset": ., "pid": ., "clock": ., "timestamp": .,
 * ...} or a list of them, under "task.multi"
 *
 * Source: Celery's documentation, "Monitoring and Management Guide", "Event Reference";
 * celery/events/event.py and dispatcher.py of 5.2 and 5.7; docs/events.md. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_writer.h"

#define EVENT_EXCHANGE      "celeryev"
#define EVENT_TOPIC_ALL     "celeryev/#" /* for mailbox_listen */
#define EVENT_TOPIC_WORKERS "celeryev/worker.#"
#define EVENT_TASK_MULTI    "task-multi" /* the type that a list of task events is sent as */

#define EVENT_MAX_NAME_BYTES                                                                       \
    ((size_t)255)                          /* of a type, a node, a task's id; longer are refused   \
                                            */
#define EVENT_MAX_IN_LIST ((size_t)100000) /* in one message */
#define EVENT_TEXT_CHARS  1024             /* of a result or an exception, as Celery cuts them */

/* Who tells. */
struct event_source {
    struct str hostname; /* the node */
    int64_t pid;
    int64_t utc_offset_h; /* of this machine, west of UTC: event_utc_offset_h() */
};

/* Whole hours west of UTC, rounded down, as Python's time.timezone // 3600. */
int64_t event_utc_offset_h(void);

/* Begin an event as one JSON object with the members that all have; the caller adds its own and
 * ends the object.
 *
 * clock   Lamport's, already advanced for this event
 * now_us  UTC */
void event_begin(struct json_writer *json, const struct event_source *source, struct str type,
                 int64_t clock, int64_t now_us);

/* UTC microseconds as the number of seconds that events carry. */
void event_write_time(struct json_writer *json, struct str name, int64_t time_us);

/* Append the envelope; body is one event or a list of them, JSON text, sent as that type.
 * Errors: ERR_NOMEM, ERR_TOO_LARGE (out's). */
MUST_CHECK int event_encode(const struct event_source *source, struct str type, struct str body,
                            struct buf *out, struct error *err);

/* "worker-online" to "celeryev/worker.online": where it is broadcast (mailbox_broadcast).  out is
 * cleared first.  Errors: ERR_NOMEM, ERR_TOO_LARGE. */
MUST_CHECK int event_format_topic(struct str type, struct buf *out, struct error *err);

/* One event as it came; views into the bytes and the arena. */
struct event {
    struct str type;
    struct str hostname;
    struct str uuid;           /* of the task; absent where it is not about one */
    int64_t time_us;           /* UTC, when it happened by the sender's clock */
    int64_t pid;               /* 0 = not told */
    int64_t clock;             /* 0 = not told, or beyond 2^53: not to be followed */
    const struct json *fields; /* all members */
};

struct event_list {
    const struct event *items;
    size_t n_items;
    size_t n_refused; /* without type, node or time, or with ones that are none */
};

/* Decode an envelope.  One bad event costs itself.
 * Errors: ERR_INVALID (no envelope, neither object nor list), ERR_UNSUPPORTED (content type,
 * encoding, compression), ERR_TOO_LARGE, ERR_NOMEM. */
MUST_CHECK int event_decode(struct str bytes, struct arena *arena, struct event_list *out,
                            struct error *err);
