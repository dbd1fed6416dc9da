/* celery/events: whatever is broadcast, it is decoded or refused, and a monitor and an election
 * take whatever was decoded.  The input is an envelope, or the body of one. */

#include <assert.h>

#include "celery/events/gossip.h"
#include "celery/events/monitor.h"
#include "fuzz/fuzz.h"

static const struct event_source source = {.hostname = STR_INIT("w1@host"), .pid = 7};

static void
take(struct str bytes)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct monitor *monitor = NULL;
    struct gossip gossip;
    struct gossip_result result;
    struct event_list list;

    gossip_init(&gossip, STR("w1@host.7"));
    assert(monitor_create(&monitor, NULL) == 0);
    if (event_decode(bytes, &arena, &list, NULL) == 0) {
        for (size_t i = 0; i < list.n_items; i++) {
            const struct event *event = &list.items[i];

            assert(event->type.len > 0 && event->hostname.len > 0 && event->time_us >= 0);
            monitor_take(monitor, event, (int64_t)i);
            (void)monitor_find_name(monitor, event);
            (void)gossip_note_node(&gossip, event->hostname, 1, (int64_t)i);
            error_ignore(gossip_add_candidate(&gossip, event, (int64_t)i, NULL));
        }
    }
    while (gossip_next_result(&gossip, INT64_MAX / 2, &result))
        assert(result.leader.len > 0);
    gossip_fini(&gossip);
    monitor_free(monitor);
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct buf envelope = BUF_INIT((size_t)1 << 20);

    take(text);
    if (size <= 16384 && event_encode(&source, STR(EVENT_TASK_MULTI), text, &envelope, NULL) == 0)
        take(buf_str(&envelope));
    buf_fini(&envelope);
    return 0;
}
