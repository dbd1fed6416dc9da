#pragma once

/* A file that says which process is the worker, for scripts; and keeps a second one from starting.
 */

#include <sys/types.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* Zero-initialised with fd -1 is "none". */
struct pid_file {
    int fd;
    char path[4096];
};

/* Make the file, or take over the one of a process that is gone, and write our number into it.  It
 * stays locked while this process lives, so a number that another process has by now deceives
 * nobody.  Errors: ERR_BUSY (in use; names the process), ERR_INVALID (path too long), and of the
 * system. */
MUST_CHECK int pid_file_open(struct str path, struct pid_file *out, struct error *err);

void pid_file_close(struct pid_file *file); /* removes it; also for CLEANUP */
