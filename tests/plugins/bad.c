/* Plug-ins that a person gets wrong, one per number: tests/unit/celery/test_plugin.c says what each
 * is told.  CASE 0 is a good one, 1 a second good one with other names. */

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <trawl/plugin.h>

#define CASE_ABI       2
#define CASE_BYTES     3
#define CASE_NO_SYMBOL 4
#define CASE_BUILT_IN  5
#define CASE_NAME      6
#define CASE_OFFSET    7
#define CASE_THREAD    8
#define CASE_UNDEFINED 9
#define CASE_REMOVED   10
#define CASE_TWICE     11
#define CASE_DEFAULT   12
#define CASE_EMPTY     13

#if CASE == CASE_BUILT_IN
#define TASK "base.known"
#elif CASE == CASE_NAME
#define TASK "Shouting"
#elif CASE == CASE_REMOVED
#define TASK "base.removed"
#elif CASE == 1
#define TASK "second.echo"
#else
#define TASK "first.echo"
#endif

#if CASE == CASE_OFFSET
#define OFFSET .offset = 4096,
#else
#define OFFSET
#endif

#if CASE == CASE_DEFAULT
#define MAX 2
#else
#define MAX 100
#endif

struct echo_args {
    int64_t times;
};

static const struct celery_param echo_params[] = {
    {.name = "times", .type = CELERY_PARAM_INT, .fallback = 3, .min = 1, .max = MAX, OFFSET},
    CELERY_PARAMS_END,
};

#if CASE == CASE_UNDEFINED
int dataset_repo_nothing(void);
#endif

static int
echo(struct celery_call *call, struct error *err)
{
    (void)call;
    (void)err;
#if CASE == CASE_UNDEFINED
    return dataset_repo_nothing();
#else
    return 0;
#endif
}

static const struct celery_task tasks[] = {
    CELERY_TASK(TASK, echo, .help = "Say it again"),
#if CASE == CASE_TWICE
    CELERY_TASK(TASK, echo, .help = "Say it again"),
#endif
    CELERY_TASKS_END,
};

static const struct celery_task *const modules[] = {CASE == CASE_EMPTY ? NULL : tasks, NULL};

#if CASE == CASE_ABI || CASE == CASE_BYTES
extern const struct trawl_plugin trawl_plugin;
TRAWL_API const struct trawl_plugin trawl_plugin = {
    .abi_version = CASE == CASE_ABI ? 99 : TRAWL_ABI_VERSION,
    .plugin_bytes = (uint32_t)sizeof(struct trawl_plugin),
    .task_bytes = CASE == CASE_BYTES ? 8 : (uint32_t)sizeof(struct celery_task),
    .param_bytes = (uint32_t)sizeof(struct celery_param),
    .error_bytes = (uint32_t)sizeof(struct error),
    .name = "bad",
    .version = "1",
    .modules = modules,
};
#elif CASE == CASE_NO_SYMBOL
extern const struct trawl_plugin another_name;
TRAWL_API const struct trawl_plugin another_name = {.modules = modules};
#else
TRAWL_PLUGIN("bad", "1", modules);
#endif

#if CASE == CASE_THREAD
static void *
idle(void *context)
{
    (void)pause();
    return context;
}

__attribute__((constructor)) static void
start(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, idle, NULL) != 0)
        abort();
}
#endif
