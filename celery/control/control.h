#pragma once

/* Remote control of a node: bytes of a request in, bytes of a reply out.  No I/O of its own; what a
 * command does, it does through the node's functions.  A request that cannot be read is counted and
 * logged, and never anything worse. */

#include "celery/control/node.h"
#include "celery/control/request.h"

/* What came of a request. */
struct control_answer {
    bool is_wanted;                  /* there is a reply to send */
    struct mailbox_address reply_to; /* lives in the arena */
};

/* Handle one request.  reply gets the envelope when answer->is_wanted.  Everything that can be
 * wrong with a request is answered or dropped here; nothing fails. */
void control_handle(struct control_node *node, struct str bytes, struct arena *arena,
                    struct buf *reply, struct control_answer *answer);
