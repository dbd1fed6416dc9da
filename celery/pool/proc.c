/* Forks; and small files of /proc, read into the stack: also when memory is short. */

#include "celery/pool/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <trawl/attributes.h>

#include "base/number.h"

#define FILE_BYTES  8192
#define STAT_FIELDS 60

static struct str
read_small(const char *path, char *out, size_t n_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n_read = 0;
    ssize_t n;

    if (fd < 0)
        return STR_NULL;
    while (n_read < n_out && (n = read(fd, out + n_read, n_out - n_read)) > 0)
        n_read += (size_t)n;
    (void)close(fd);
    return (struct str){out, n_read};
}

/* The number behind "key " at the start of a line. */
static int64_t
find_count(struct str text, struct str key)
{
    struct str line;
    int64_t value;

    while (str_split(&text, '\n', &line)) {
        struct str name;

        if (!str_starts_with(line, key) || !str_split(&line, ' ', &name) || !str_equal(name, key))
            continue;
        if (number_parse_i64(line, &value, NULL) == 0)
            return value;
    }
    return -1;
}

pid_t
proc_fork_blocked(void)
{
    sigset_t all, before;
    pid_t pid;
    int fork_errno;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        return 0;
    fork_errno = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = fork_errno;
    return pid;
}

int64_t
proc_rss_kib(pid_t pid)
{
    char path[64];
    char bytes[256];
    struct str text, word;
    int64_t n_pages = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    text = read_small(path, bytes, sizeof(bytes));
    if (!str_split(&text, ' ', &word) || !str_split(&text, ' ', &word) ||
        number_parse_i64(word, &n_pages, NULL) < 0)
        return 0;
    return n_pages * (sysconf(_SC_PAGESIZE) / 1024);
}

bool
proc_get_oom_score(int64_t *score)
{
    char bytes[64];

    return number_parse_i64(str_trim(read_small("/proc/self/oom_score_adj", bytes, sizeof(bytes))),
                            score, NULL) == 0;
}

void
proc_set_oom_score(int64_t score)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)dprintf(fd, "%" PRId64, score); /* refused without the right to: then it stays */
    (void)close(fd);
}

/* The path of our cgroup in the hierarchy that counts memory: "0::/a" or "4:memory:/a". */
static struct str
find_cgroup(struct str text, struct str controller)
{
    struct str line, id, name;

    while (str_split(&text, '\n', &line)) {
        if (str_split(&line, ':', &id) && str_split(&line, ':', &name) &&
            str_equal(name, controller))
            return line;
    }
    return STR_NULL;
}

int64_t
proc_oom_kills(void)
{
    static const struct {
        const char *root;
        struct str controller;
        const char *file;
    } sources[] = {
        {"/sys/fs/cgroup", STR_INIT(""), "memory.events"},
        {"/sys/fs/cgroup/memory", STR_INIT("memory"), "memory.oom_control"},
    };
    char groups[FILE_BYTES];
    char bytes[FILE_BYTES];
    struct str text = read_small("/proc/self/cgroup", groups, sizeof(groups));

    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        struct str cgroup = find_cgroup(text, sources[i].controller);
        char path[1024];
        int64_t n_kills;

        if (!cgroup.ptr)
            continue;
        (void)snprintf(path, sizeof(path), "%s%.*s/%s", sources[i].root, STR_ARG(cgroup),
                       sources[i].file);
        n_kills = find_count(read_small(path, bytes, sizeof(bytes)), STR("oom_kill"));
        if (n_kills >= 0)
            return n_kills;
    }
    return find_count(read_small("/proc/vmstat", bytes, sizeof(bytes)), STR("oom_kill"));
}

void
proc_title_find(struct proc_title *out)
{
    char bytes[FILE_BYTES];
    struct str text = read_small("/proc/self/stat", bytes, sizeof(bytes));
    struct str word;
    int64_t start = 0;
    int64_t end = 0;
    int field = 2; /* what follows the name in brackets is the third */

    *out = (struct proc_title){NULL, 0};
    text = str_slice(text, str_find_last(text, STR(") ")) + 2, text.len);
    while (str_split(&text, ' ', &word) && ++field < STAT_FIELDS) {
        if ((field == 48 && number_parse_i64(word, &start, NULL) < 0) ||
            (field == 49 && number_parse_i64(word, &end, NULL) < 0))
            return;
    }
    if (start > 0 && end > start)
        *out = (struct proc_title){(char *)(uintptr_t)start, (size_t)(end - start)};
}

void
proc_title_set(const struct proc_title *title, struct str prefix, struct str name)
{
    int len;

    if (!title->ptr)
        return;
    len = snprintf(title->ptr, title->n_bytes, "%.*s: %.*s", STR_ARG(prefix), STR_ARG(name));
    if (len >= 0 && (size_t)len < title->n_bytes)
        (void)memset(title->ptr + len, 0, title->n_bytes - (size_t)len);
}
