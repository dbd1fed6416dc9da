#pragma once

/* The log: one line per event, as text or as JSON, to one descriptor.  Writing a line is declared
 * in trawl/log.h; here is where lines go.
 *
 * Messages say "what happened, consequence: key=value"; control bytes are escaped and secrets
 * (bearer tokens, user:password in URLs) masked, so a hostile value cannot forge a line.
 * Lines of several processes never mix: each goes out whole.  The settings are the program's only
 * mutable global besides signal flags; set them before threads start.  Writing is for any thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/log.h>
#include <trawl/str.h>

enum log_format { LOG_TEXT, LOG_JSON };

/* fd is borrowed, and stays as it is. */
void log_configure(int fd, enum log_level level, enum log_format format);

/* Append to this file, made where it is missing, instead of the descriptor.  Errors: ERR_IO,
 * ERR_NOMEM and of the system; the log stays where it was. */
MUST_CHECK int log_open_file(const char *path, struct error *err);

/* Open that file again by its name, after it has been renamed (logrotate); does nothing without
 * one.  Processes that were forked from here follow with their next line.  Errors: as above, the
 * old file stays in use. */
MUST_CHECK int log_reopen(struct error *err);

/* A log that is not read stops nobody from now on: a line that cannot be written at once is
 * dropped, and how many there were is told as soon as there is room.  The flags of the descriptor,
 * which others may share, stay as they are. */
void log_never_block(void);

/* The descriptor that lines go to: a child process that closes what it inherits must keep it.  The
 * same after log_reopen. */
int log_get_fd(void);

/* This thread's lines are gathered until log_flush, but for errors; for a loop that flushes once a
 * turn.  A forked child does not gather. */
void log_begin_batch(void);
void log_flush(void);
void log_end_batch(void);

/* "debug", "info", "warning", "error" or "nothing".  Errors: ERR_INVALID, naming the choices. */
MUST_CHECK int log_parse_level(struct str text, enum log_level *out, struct error *err);
MUST_CHECK int log_parse_format(struct str text, enum log_format *out, struct error *err);

/* Hears each line that this thread writes, wherever it goes and whether or not it can be written:
 * message is sanitized, without time and context, borrowed for the call.  Must not log.  NULL ends
 * it.  For who keeps the lines of a task beside its record. */
typedef void (*log_listener_fn)(void *context, enum log_level level, int64_t time_us,
                                struct str message);
void log_set_listener(log_listener_fn fn, void *fn_context);

/* Shown in every line of this thread until changed: the task's name and id.  Copied; {NULL, 0}
 * clears. */
void log_set_context(struct str task_name, struct str task_id);

/* text with secrets masked and control bytes escaped, as the log writes it, into out (at least one
 * byte; cut if too small).  Returns the bytes written without the NUL. */
size_t log_sanitize(struct str text, char *out, size_t out_bytes);
