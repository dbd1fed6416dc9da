/* One flag, set by the handler. */

#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t pending;

static void
on_signal(int number)
{
    (void)number;
    pending = 1;
}

void
interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error, told as one */
    (void)signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow */
}

bool
interrupt_is_pending(void *context)
{
    (void)context;
    return pending != 0;
}
