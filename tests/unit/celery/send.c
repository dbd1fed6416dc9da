/* Sends one task many times and ends: celery_send BROKER_URL TASK KWARGS_JSON [COUNT [PREFIX]].
 * Prints the ids, one a line: PREFIX-0, PREFIX-1, ...  "TASK" may be "raw": then KWARGS_JSON is the
 * message itself.  Not a test; tests/integration/test_worker.py uses it. */

#include <stdio.h>
#include <stdlib.h>

#include "celery/broker/broker.h"
#include "celery/message.h"

static void
on_completed(void *context, const struct broker_completion *completion)
{
    long *n_done = context;

    *n_done += completion->outcome == BROKER_DONE;
}

static int
send_one(struct broker *broker, struct str task, struct str text, const char *id, struct error *err)
{
    struct buf bytes = BUF_INIT((size_t)1 << 20);
    struct celery_message message;
    struct broker_message sent = {
        .queue = STR("celery"),
        .id = str_from_cstr(id),
        .eta_us = TIME_UNKNOWN,
        .expires_us = TIME_UNKNOWN,
    };
    int rc = 0;

    if (str_equal(task, STR("raw"))) {
        buf_append(&bytes, text);
    } else {
        celery_message_init(&message, task, sent.id);
        message.kwargs = text;
        message.routing_key = sent.queue;
        rc = celery_message_encode_envelope(&message, &bytes, err);
    }
    sent.bytes = buf_str(&bytes);
    if (rc == 0)
        rc = broker_publish(broker, &sent, NULL, err);
    if (rc == 0)
        (void)puts(id);
    buf_fini(&bytes);
    return rc;
}

int
main(int argc, char **argv)
{
    long n_done = 0;
    struct broker_options options = {.listener = {.completed = on_completed, .context = &n_done}};
    struct broker *broker = NULL;
    struct error err = {0};
    long count = argc > 4 ? strtol(argv[4], NULL, 10) : 1;
    char id[64];
    int rc;

    if (argc < 4)
        return 2;
    rc = broker_open(str_from_cstr(argv[1]), &options, &broker, &err);
    for (long i = 0; rc == 0 && i < count; i++) {
        (void)snprintf(id, sizeof(id), "%.40s-%ld", argc > 5 ? argv[5] : "task", i);
        rc = send_one(broker, str_from_cstr(argv[2]), str_from_cstr(argv[3]), id, &err);
    }
    if (rc == 0)
        rc = broker_flush(broker, 10 * US_PER_S, &err);
    if (rc == 0 && n_done != count)
        rc = error_set(&err, ERR_IO, "%ld of %ld messages were sent", n_done, count);
    broker_close(broker);
    if (rc < 0)
        (void)fprintf(stderr, "celery_send: %s\n", err.message);
    return rc < 0 ? 1 : 0;
}
