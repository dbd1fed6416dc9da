/* /proc/self/cgroup names our group ("0::/a/b"); each group up to the root may set a cpu.max. */

#include "encoder/cpu_count.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/number.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define READ_MAX    ((size_t)64 << 10)

size_t
cpu_count_parse_quota(struct str text)
{
    struct str rest = str_trim(text);
    struct str head;
    int64_t quota_us;
    int64_t period_us;

    if (!str_split(&rest, ' ', &head) || number_parse_i64(head, &quota_us, NULL) < 0 ||
        number_parse_i64(rest, &period_us, NULL) < 0 || quota_us <= 0 || period_us <= 0)
        return 0;
    return (size_t)((quota_us - 1) / period_us + 1);
}

/* Our group's path below the root, "" for the root or without cgroup v2. */
static struct str
find_group(const struct buf *cgroups)
{
    struct str rest = buf_str(cgroups);
    struct str line;

    while (str_split(&rest, '\n', &line)) {
        if (str_starts_with(line, STR("0::/")))
            return str_slice(line, 3, line.len);
    }
    return STR("");
}

static size_t
read_quota(struct str group)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(READ_MAX);
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), CGROUP_ROOT "%.*s/cpu.max", STR_ARG(group));
    if (file_read(path, &text, NULL) < 0)
        return 0;
    return cpu_count_parse_quota(buf_str(&text));
}

size_t
cpu_count(void)
{
    CLEANUP(buf_fini) struct buf cgroups = BUF_INIT(READ_MAX);
    struct str group = STR("");
    cpu_set_t mask;
    long n_online = sysconf(_SC_NPROCESSORS_ONLN); /* for machines beyond cpu_set_t */
    size_t n_cpus = n_online > 0 ? (size_t)n_online : 1;

    if (sched_getaffinity(0, sizeof(mask), &mask) == 0 && CPU_COUNT(&mask) > 0)
        n_cpus = (size_t)CPU_COUNT(&mask);
    if (file_read("/proc/self/cgroup", &cgroups, NULL) == 0)
        group = find_group(&cgroups);
    for (;;) {
        size_t quota = read_quota(group);

        if (quota > 0 && quota < n_cpus)
            n_cpus = quota;
        if (group.len == 0)
            return n_cpus;
        group = str_slice(group, 0, str_find_last(group, STR("/")));
    }
}
