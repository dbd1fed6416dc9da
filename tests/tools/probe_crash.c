/* See probe_crash.h.  Every way is bounded by amount, or by the worker's limits. */

#include "tests/tools/probe_crash.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/tools/probe_record.h"

#define MIB ((size_t)1 << 20)

static void
die_by_signal(int number)
{
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void
crash_segv(int64_t amount)
{
    (void)amount;
    die_by_signal(SIGSEGV);
}

static void
crash_abort(int64_t amount)
{
    (void)amount;
    abort();
}

/* amount: the exit status */
static void
crash_exit(int64_t amount)
{
    _exit((int)(amount & 0xff));
}

static void
crash_kill(int64_t amount)
{
    (void)amount;
    die_by_signal(SIGKILL);
}

/* Deaf to soft limits and to requests to end. */
static void
crash_hang(int64_t amount)
{
    (void)amount;
    for (;;)
        clock_sleep_us(&clock_system, US_PER_S);
}

static void
crash_spin(int64_t amount)
{
    volatile uint64_t n = (uint64_t)amount;

    for (;;)
        n = n + 1;
}

static void
crash_stop(int64_t amount)
{
    (void)amount;
    (void)raise(SIGSTOP);
}

/* amount: MiB that are touched and kept. */
static void
crash_memory(int64_t amount)
{
    char **blocks = calloc((size_t)amount, sizeof(*blocks));
    int64_t n = 0;

    while (blocks && n < amount && (blocks[n] = malloc(MIB))) {
        (void)memset(blocks[n], (int)n + 1, MIB);
        n++;
    }
    crash_hang(0);
}

/* amount: processes, which fork as fast as they can until there are so many, and stay. */
static void
crash_fork(int64_t amount)
{
    for (int64_t n = 1; n < amount; n *= 2)
        (void)(fork() < 0); /* at a limit of processes: those that there are */
    crash_hang(0);
}

/* The task itself dies and leaves so many processes behind. */
static void
crash_orphans(int64_t amount)
{
    for (int64_t n = 0; n < amount; n++) {
        if (fork() == 0)
            crash_hang(0);
    }
    die_by_signal(SIGSEGV);
}

static const struct {
    const char *name;
    void (*run)(int64_t amount);
} ways[] = {
    {"segv", crash_segv},       {"abort", crash_abort},   {"exit", crash_exit},
    {"kill", crash_kill},       {"hang", crash_hang},     {"spin", crash_spin},
    {"stop", crash_stop},       {"memory", crash_memory}, {"fork", crash_fork},
    {"orphans", crash_orphans},
};

static const char *const way_names[] = {
    "segv", "abort", "exit", "kill", "hang", "spin", "stop", "memory", "fork", "orphans", NULL,
};

const struct celery_param probe_crash_params[] = {
    CELERY_STR(struct probe_crash_args, how, .fallback_text = "segv", .choices = way_names),
    CELERY_STR(struct probe_crash_args, path, .help = "the record file"),
    CELERY_STR(struct probe_crash_args, token, .fallback_text = "-"),
    CELERY_INT(struct probe_crash_args, times, .fallback = 0, .min = 0, .max = 1000,
               .help = "then succeed; 0 = never"),
    CELERY_INT(struct probe_crash_args, amount, .fallback = 0, .min = 0, .max = 1 << 20,
               .help = "exit status, MiB or processes"),
    CELERY_PARAMS_END,
};

int
probe_crash(struct celery_call *call, struct error *err)
{
    const struct probe_crash_args *args = celery_call_args(call);
    static const struct rlimit no_core = {0, 0};
    int64_t n_starts;
    int rc = probe_record_write(args->path, "start", args->token, err);

    if (rc == 0)
        rc = probe_record_count(args->path, args->token, &n_starts, err);
    if (rc < 0)
        return rc;
    if (args->times > 0 && n_starts > args->times) {
        celery_call_return_int(call, "runs", n_starts);
        return probe_record_write(args->path, "done", args->token, err);
    }
    log_info("about to end: how=%.*s", STR_ARG(args->how));
    (void)setrlimit(RLIMIT_CORE, &no_core);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        if (str_equal(args->how, str_from_cstr(ways[i].name)))
            ways[i].run(args->amount);
    }
    return error_set(err, ERR_INVALID, "this process has survived '%.*s'", STR_ARG(args->how));
}
