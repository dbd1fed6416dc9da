/* celery/control: whatever is broadcast, a node answers or drops it, and what it answers can be
 * read by whoever asked; replies of others likewise.  The input is an envelope, or the body of one.
 */

#include <assert.h>

#include "base/log.h"
#include "celery/control/request.h"
#include "fuzz/fuzz.h"
#include "tests/unit/celery/control/fake_node.h"

static void
check_answer(const struct control_answer *answer, const struct buf *bytes, struct arena *arena)
{
    struct control_reply reply;

    assert(answer->reply_to.exchange.len > 0 && answer->reply_to.routing_key.len > 0);
    assert(control_reply_decode(buf_str(bytes), arena, &reply, NULL) == 0);
    assert(str_equal(reply.node, STR("w1@host")));
    assert(reply.clock > 0);
}

static void
handle(struct fake_node *fake, struct str bytes)
{
    struct arena arena = ARENA_INIT((size_t)64 << 20);
    struct buf reply = BUF_INIT((size_t)32 << 20);
    struct control_answer answer;
    struct control_reply foreign;

    control_handle(&fake->node, bytes, &arena, &reply, &answer);
    if (answer.is_wanted)
        check_answer(&answer, &reply, &arena);
    error_ignore(control_reply_decode(bytes, &arena, &foreign, NULL)); /* it may be anything */
    buf_fini(&reply);
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct fake_node fake;

    log_configure(2, LOG_NOTHING, LOG_TEXT);
    fake_node_init(&fake);
    handle(&fake, text);
    if (size <= 16384)
        handle(&fake, fake_request(text, 3));
    fake_node_fini(&fake);
    return 0;
}
