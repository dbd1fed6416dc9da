#pragma once

/* Ctrl-C and SIGTERM: the first asks the work to end at its next safe point, the second kills. */

#include <stdbool.h>

void interrupt_install(void);

/* For containers and hooks; context is not used. */
bool interrupt_is_pending(void *context);
