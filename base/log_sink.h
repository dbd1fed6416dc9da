#pragma once

/* Where the log's lines go: one descriptor, shared with processes that were forked from this one.
 * Used by log.c alone; its public half is in log.h. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/str.h>

#define LOG_LINE_BYTES ((size_t)4096) /* PIPE_BUF: a pipe takes such a line whole or not at all */

void log_sink_set_fd(int fd);

enum log_urgency { LOG_LATER, LOG_NOW };

/* One line, with its end, at most LOG_LINE_BYTES: written at once, or with the batch of this
 * thread. What cannot be written is counted. */
void log_sink_put(struct str line, enum log_urgency urgency);

/* How many lines were lost since it was last asked: the caller says so in the log. */
uint64_t log_sink_take_dropped(void);
