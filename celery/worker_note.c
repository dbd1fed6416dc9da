/* What happens to a message, told to whoever makes it known. */

#include "celery/worker_internal.h"

void
worker_note(struct worker *self, struct flight *flight, const struct worker_note *note)
{
    worker_history_note(self, flight, note);
    worker_events_note(self, flight, note);
}
