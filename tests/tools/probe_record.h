#pragma once

/* The record file: a line for each start and end of a task, so that a test can count executions
 * whatever was killed.
 *
 *     start TOKEN PID MONOTONIC_MS
 *     done TOKEN PID MONOTONIC_MS
 *
 * Each line is one write with O_APPEND: lines of many processes do not mix. */

#include <trawl/error.h>
#include <trawl/str.h>

/* Append a line.  path absent: nothing to do.  Errors: those of the file. */
MUST_CHECK int probe_record_write(struct str path, const char *event, struct str token,
                                  struct error *err);

/* How many lines say "start TOKEN".  path absent: 0. */
MUST_CHECK int probe_record_count(struct str path, struct str token, int64_t *out,
                                  struct error *err);
