#pragma once

/* The child's half of prefork: from fork to _exit. */

#include <sys/types.h>

#include "celery/pool/board.h"
#include "celery/pool/pool.h"

#define PREFORK_EXIT_OK     0
#define PREFORK_EXIT_SETUP  81 /* runner.setup failed; the worker was told why */
#define PREFORK_EXIT_SOCKET 82 /* the worker is gone, or what it sent makes no sense */

struct prefork_child_start {
    const struct pool_options *options;
    struct board *board; /* shared */
    int fd;              /* blocking socket to the worker */
    pid_t worker_pid;
    int64_t oom_score;
    bool has_oom_score; /* set it to oom_score */
};

/* Called right after fork, all signals blocked. */
_Noreturn void prefork_child_main(const struct prefork_child_start *start);
