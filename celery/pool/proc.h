#pragma once

/* Processes: forks, and what the kernel tells of them (/proc, the memory cgroup). */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <trawl/str.h>

/* fork with all signals blocked, so that none meets our handlers in the child, where they stay
 * blocked.  Returns what fork returns, errno included. */
pid_t proc_fork_blocked(void);

/* Resident memory of a process; 0 when it cannot be read. */
int64_t proc_rss_kib(pid_t pid);

/* How willingly the kernel kills this process when memory runs out: -1000 (never) to 1000.
 * Lowering needs CAP_SYS_RESOURCE; a refusal changes nothing. */
bool proc_get_oom_score(int64_t *score);
void proc_set_oom_score(int64_t score);

/* Processes killed for memory so far: of our cgroup and those below where it counts them
 * (memory.events, memory.oom_control), else of the machine (/proc/vmstat); -1 when no one tells. */
int64_t proc_oom_kills(void);

/* Where ps finds the command line of this process. */
struct proc_title {
    char *ptr; /* NULL: cannot be found, and setting does nothing */
    size_t n_bytes;
};

void proc_title_find(struct proc_title *out);

/* Show "prefix: name", cut to the room that the original command line left. */
void proc_title_set(const struct proc_title *title, struct str prefix, struct str name);
