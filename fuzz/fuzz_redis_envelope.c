/* What the Redis broker reads of a message: bytes that nobody has checked.  Whatever they are, the
 * parts lie within their limits. */

#include <stdlib.h>

#include "celery/broker/redis_internal.h"
#include "fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT((size_t)16 << 20);
    struct redis_envelope envelope;
    volatile char sum = 0;

    redis_envelope_read((struct str){(const char *)data, size}, &arena, &envelope);
    for (size_t i = 0; i < envelope.id.len; i++) /* all of it can be read */
        sum = (char)(sum ^ envelope.id.ptr[i]);
    if (envelope.id.len > BROKER_MAX_ID_BYTES || envelope.priority < -1 ||
        envelope.priority > BROKER_MAX_PRIORITY)
        abort();
    return 0;
}
