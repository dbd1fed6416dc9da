/* Commands about the memory of a node's own process, its children left out: memsample, memdump,
 * objgraph.  Source: Celery 5.7, utils/debug.py. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "celery/control/command.h"

#define MEMORY_TEXT_BYTES 32
#define MEMDUMP_SAMPLES   10

/* In MiB; negative = not known. */
static double
look_at_memory(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long n_pages = 0;
    int n_read = file ? fscanf(file, "%*s %lu", &n_pages) : 0;

    if (file)
        (void)fclose(file);
    return n_read == 1 ? (double)n_pages * (double)sysconf(_SC_PAGESIZE) / 1048576.0 : -1;
}

/* "54.941MB" */
static struct str
format_memory(double mib, char text[MEMORY_TEXT_BYTES])
{
    (void)snprintf(text, MEMORY_TEXT_BYTES, "%.3fMB", mib);
    return str_from_cstr(text);
}

static void
keep_sample(struct control_memory *memory, double mib)
{
    if (memory->n_samples == CONTROL_MAX_SAMPLES)
        (void)memmove(memory->mib, memory->mib + 1, --memory->n_samples * sizeof(*memory->mib));
    memory->mib[memory->n_samples++] = mib;
}

static int
run_memsample(struct control_run *run, struct error *err)
{
    char text[MEMORY_TEXT_BYTES];
    double mib = look_at_memory();

    (void)err;
    if (mib < 0) {
        json_null(run->json);
        return 0;
    }
    keep_sample(&run->node->memory, mib);
    json_str(run->json, format_memory(mib, text));
    return 0;
}

/* Of n samples at most so many, evenly spread; told once. */
static void
write_samples(struct control_memory *memory, int64_t n_most, struct buf *out)
{
    size_t n = memory->n_samples;
    size_t n_shown = (uint64_t)n_most < n ? (size_t)n_most : n;
    char text[MEMORY_TEXT_BYTES];

    if (n_shown > 0)
        buf_append(out, STR("- rss (sample):\n"));
    for (size_t i = 0; i < n_shown; i++)
        buf_printf(out, "-    > %.*s,\n",
                   STR_ARG(format_memory(memory->mib[i * n / n_shown], text)));
    memory->n_samples = 0;
}

static int
run_memdump(struct control_run *run, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(65536);
    char text[MEMORY_TEXT_BYTES];
    int64_t n_most;
    double mib = look_at_memory();
    int rc = control_get_i64(run, STR("samples"), MEMDUMP_SAMPLES, &n_most, err);

    if (rc == 0 && n_most < 0)
        rc = error_set(err, ERR_INVALID, "argument 'samples' must be 0 or more, got %" PRId64,
                       n_most);
    if (rc < 0)
        return rc;
    write_samples(&run->node->memory, n_most, &out);
    if (mib < 0)
        buf_append(&out, STR("- rss: not known.\n"));
    else
        buf_printf(&out, "- rss (end): %.*s.\n", STR_ARG(format_memory(mib, text)));
    json_str(run->json, buf_str(&out));
    return buf_status(&out, err);
}

/* Known, so that whoever asks is told why. */
static int
run_objgraph(struct control_run *run, struct error *err)
{
    run->exception = "ImportError";
    return error_set(err, ERR_UNSUPPORTED, "a worker in C has no Python objects to draw");
}

const struct control_command control_memory_commands[] = {
    {STR_INIT("memsample"), {NULL, 0}, run_memsample},
    {STR_INIT("memdump"), {NULL, 0}, run_memdump},
    {STR_INIT("objgraph"), {NULL, 0}, run_objgraph},
    {{NULL, 0}, {NULL, 0}, NULL},
};
