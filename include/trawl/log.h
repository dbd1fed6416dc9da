#pragma once

/* The log: one line per event, to where the program logs.
 *
 * Messages say "what happened, consequence: key=value"; control bytes are escaped and secrets
 * (bearer tokens, user:password in URLs) masked, so a hostile value cannot forge a line.  Lines of
 * a task carry its name and id.  Lines of several processes never mix: each goes out whole.  Any
 * thread. */

#include <stdbool.h>

#include <trawl/attributes.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_NOTHING };

TRAWL_API bool log_is_enabled(enum log_level level);
TRAWL_API void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_debug(...)   log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_at(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_at(LOG_ERROR, __VA_ARGS__)

#define log_at(level, ...)                                                                         \
    do {                                                                                           \
        if (log_is_enabled(level))                                                                 \
            log_write((level), __VA_ARGS__);                                                       \
    } while (0)
