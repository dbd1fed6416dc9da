#pragma once

/* --logfile of the commands that run for long. */

#include <trawl/error.h>
#include <trawl/str.h>

/* Log to this file; absent: to standard error, whether that is read or not.  Errors: ERR_ARGS (the
 * path), those of log_open_file. */
MUST_CHECK int cli_log_open(struct str path, struct error *err);
