#pragma once

/* How many threads of work this process may run at once. */

#include <stddef.h>

#include <trawl/str.h>

/* The CPUs of our affinity mask, or the cgroup v2 quota where that is less; at least 1. */
size_t cpu_count(void);

/* CPUs that a cpu.max file allows: "200000 100000" is 2, "150000 100000" 2 as well; 0 = no limit
 * ("max ...", or not understood).  Pure. */
size_t cpu_count_parse_quota(struct str text);
