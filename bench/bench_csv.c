/* How fast CSV is read: ours with each kernel, beside libcsv and Python's csv module.
 *
 *   bench_csv [--runs N] [--megabytes N] [FILE]
 *
 * Without FILE it makes two: bare numbers, and quoted text with newlines and doubled quotes.  Each
 * run is a process of its own that reads the file through the page cache, delivers every record
 * with all its fields split, and reports what it counted; all readers must count the same.  One
 * JSON line per reader and file: the median of the runs in MB/s (10^6 bytes), the peak memory of
 * the process, and how many times faster than each peer. */

#include "base/clock.h"
#include "base/csv.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"

#ifdef HAVE_LIBCSV
#include <csv.h>
#endif

#define MAX_RUNS 101

struct tally {
    uint64_t n_records; /* with the header */
    uint64_t n_fields;
};

struct outcome {
    struct tally tally;
    double seconds;
    long peak_kib;
};

struct reader {
    const char *name;
    enum csv_kernel kernel;
    bool (*run)(const struct reader *reader, const char *path, struct tally *tally);
    bool is_peer;
};

static bool
run_ours(const struct reader *reader, const char *path, struct tally *tally)
{
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(csv_reader_freep) struct csv_reader *csv = NULL;
    struct csv_options options = {.kernel = reader->kernel};
    struct csv_record record;
    struct error err;
    int rc = csv_reader_create(&options, csv_input_fd(&fd), &csv, &err);

    if (rc < 0)
        return false; /* this processor lacks the kernel */
    while ((rc = csv_reader_next(csv, &record, &err)) > 0) {
        tally->n_records++;
        tally->n_fields += record.n_fields;
    }
    if (rc < 0)
        (void)fprintf(stderr, "%s: %s\n", path, err.message);
    return rc == 0 && csv_reader_counts(csv)->n_rejected == 0;
}

#ifdef HAVE_LIBCSV
static void
count_field(void *text, size_t len, void *context)
{
    struct tally *tally = context;

    (void)text;
    (void)len;
    tally->n_fields++;
}

static void
count_record(int separator, void *context)
{
    struct tally *tally = context;

    (void)separator;
    tally->n_records++;
}

static bool
run_libcsv(const struct reader *reader, const char *path, struct tally *tally)
{
    static char block[1 << 17];
    CLEANUP(file_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct csv_parser parser;
    ssize_t n;

    (void)reader;
    if (csv_init(&parser, 0) != 0)
        return false;
    while ((n = read(fd, block, sizeof(block))) > 0) {
        if (csv_parse(&parser, block, (size_t)n, count_field, count_record, tally) != (size_t)n)
            return false;
    }
    (void)csv_fini(&parser, count_field, count_record, tally);
    csv_free(&parser);
    return n == 0;
}
#endif

static bool
run_python(const struct reader *reader, const char *path, struct tally *tally)
{
    static const char script[] = "import csv, sys\n"
                                 "csv.field_size_limit(1 << 30)\n"
                                 "records = fields = 0\n"
                                 "with open(sys.argv[1], newline='', encoding='utf-8') as file:\n"
                                 "    for record in csv.reader(file):\n"
                                 "        records += 1\n"
                                 "        fields += len(record)\n"
                                 "print(records, fields)\n";
    int ends[2];
    char line[64] = "";
    size_t len = 0;
    pid_t child;
    int status;
    ssize_t n;

    (void)reader;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execl("/usr/bin/python3", "python3", "-c", script, path, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    while ((n = read(ends[0], line + len, sizeof(line) - 1 - len)) > 0)
        len += (size_t)n;
    (void)close(ends[0]);
    if (waitpid(child, &status, 0) < 0 || status != 0)
        return false;
    return sscanf(line, "%" SCNu64 " %" SCNu64, &tally->n_records, &tally->n_fields) == 2;
}

static const struct reader readers[] = {
    {"python csv", CSV_KERNEL_BEST, run_python, true},
#ifdef HAVE_LIBCSV
    {"libcsv", CSV_KERNEL_BEST, run_libcsv, true},
#endif
    {"trawl strict", CSV_KERNEL_STRICT, run_ours, false},
    {"trawl portable", CSV_KERNEL_PORTABLE, run_ours, false},
    {"trawl avx2", CSV_KERNEL_AVX2, run_ours, false},
    {"trawl avx512", CSV_KERNEL_AVX512, run_ours, false},
    {"trawl", CSV_KERNEL_BEST, run_ours, false},
};

/* One run in a process of its own, so that its peak memory is its own too. */
static bool
measure(const struct reader *reader, const char *path, struct outcome *out)
{
    struct rusage usage;
    int ends[2];
    int status;
    pid_t child;
    bool is_told;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    child = fork();
    if (child == 0) {
        struct outcome mine = {0};
        int64_t start_us = clock_mono_us(&clock_system);
        bool is_good = reader->run(reader, path, &mine.tally);

        mine.seconds = (double)(clock_mono_us(&clock_system) - start_us) / 1e6;
        is_good = is_good && write(ends[1], &mine, sizeof(mine)) == (ssize_t)sizeof(mine);
        _exit(is_good ? 0 : 1);
    }
    (void)close(ends[1]);
    is_told = read(ends[0], out, sizeof(*out)) == (ssize_t)sizeof(*out);
    (void)close(ends[0]);
    if (child < 0 || wait4(child, &status, 0, &usage) < 0 || status != 0 || !is_told)
        return false;
    out->peak_kib = usage.ru_maxrss;
    return true;
}

static int
compare_seconds(const void *a, const void *b)
{
    double left = ((const struct outcome *)a)->seconds;
    double right = ((const struct outcome *)b)->seconds;

    return (left > right) - (left < right);
}

static bool
bench_file(const char *name, const char *path, size_t n_runs)
{
    struct outcome runs[MAX_RUNS];
    double peer_speed[COUNT_OF(readers)] = {0};
    struct tally expected = {0};
    bool is_same = true;
    struct stat info;

    if (stat(path, &info) < 0) {
        (void)fprintf(stderr, "cannot open '%s': %s\n", path, strerror(errno));
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        const struct reader *reader = &readers[i];
        size_t n = reader->run == run_python ? (n_runs + 4) / 5 : n_runs;
        double speed;
        bool is_run = true;

        for (size_t j = 0; j < n && is_run; j++)
            is_run = measure(reader, path, &runs[j]);
        if (!is_run) {
            (void)printf("{\"name\":\"csv %s\",\"reader\":\"%s\",\"skipped\":true}\n", name,
                         reader->name);
            continue;
        }
        qsort(runs, n, sizeof(*runs), compare_seconds);
        speed = (double)info.st_size / runs[n / 2].seconds / 1e6;
        if (reader->is_peer)
            peer_speed[i] = speed;
        (void)printf("{\"name\":\"csv %s\",\"reader\":\"%s\",\"unit\":\"MB/s\",\"median\":%.1f,"
                     "\"slowest\":%.1f,\"n\":%zu,\"bytes\":%jd,\"records\":%" PRIu64
                     ",\"fields\":%" PRIu64 ",\"peak_mib\":%.1f",
                     name, reader->name, speed, (double)info.st_size / runs[n - 1].seconds / 1e6, n,
                     (intmax_t)info.st_size, runs[0].tally.n_records, runs[0].tally.n_fields,
                     (double)runs[n / 2].peak_kib / 1024);
        for (size_t j = 0; j < i && !reader->is_peer; j++) {
            if (peer_speed[j] > 0)
                (void)printf(",\"times %s\":%.1f", readers[j].name, speed / peer_speed[j]);
        }
        (void)printf("}\n");
        (void)fflush(stdout);
        if (expected.n_records == 0)
            expected = runs[0].tally;
        is_same = is_same && expected.n_records == runs[0].tally.n_records &&
                  expected.n_fields == runs[0].tally.n_fields;
    }
    if (!is_same)
        (void)fprintf(stderr, "%s: the readers disagree\n", path);
    return is_same;
}

static uint32_t
next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Like Datasets.csv: ids, totals, dates, bare. */
static void
write_numbers(FILE *file, int64_t n_bytes)
{
    uint32_t state = 1;
    int64_t done = 0;

    (void)fprintf(file,
                  "Id,CreatorUserId,OwnerUserId,VersionId,CreationDate,TotalViews,TotalVotes\n");
    while (done < n_bytes) {
        int n = fprintf(file, "%u,%u,%u.0,%u,%02u/%02u/2024 12:%02u:00,%u,%u\n",
                        next_random(&state), next_random(&state), next_random(&state),
                        next_random(&state), next_random(&state) % 12 + 1,
                        next_random(&state) % 28 + 1, next_random(&state) % 60,
                        next_random(&state) % 100000, next_random(&state) % 1000);

        done += n;
    }
}

/* Like DatasetVersions.csv: all quoted, empties too, with text of a few hundred bytes. */
static void
write_texts(FILE *file, int64_t n_bytes)
{
    static const char *const words[] = {"the ",     "data ",       "of ",    "cities, ",
                                        "prices\n", "\"\"a\"\" ",  "daily ", "weather. ",
                                        "and\r\n",  "caf\xC3\xA9 "};
    uint32_t state = 1;
    int64_t done = 0;

    (void)fprintf(file,
                  "\"Id\",\"DatasetId\",\"Title\",\"Slug\",\"Description\",\"Notes\",\"Bytes\"\n");
    while (done < n_bytes) {
        uint32_t n_words = next_random(&state) % 120;

        done += fprintf(file, "\"%u\",\"%u\",\"Weather of %u cities\",\"weather-%u\",\"",
                        next_random(&state), next_random(&state), next_random(&state),
                        next_random(&state));
        for (uint32_t i = 0; i < n_words; i++)
            done += fprintf(file, "%s", words[next_random(&state) % COUNT_OF(words)]);
        done += fprintf(file, "\",\"\",\"%u\"\n", next_random(&state));
    }
}

static bool
bench_made(const char *name, void (*fill)(FILE *file, int64_t n_bytes), int64_t n_bytes,
           size_t n_runs)
{
    char path[] = "/tmp/bench_csv.XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool is_good = file != NULL;

    if (file) {
        fill(file, n_bytes);
        is_good = fclose(file) == 0 && bench_file(name, path, n_runs);
        (void)unlink(path);
    }
    return is_good;
}

int
main(int argc, char **argv)
{
    int64_t n_runs = 5;
    int64_t n_megabytes = 200;
    const char *path = NULL;
    bool is_good = true;

    for (int i = 1; i < argc && is_good; i++) {
        int64_t *number = strcmp(argv[i], "--runs") == 0        ? &n_runs
                          : strcmp(argv[i], "--megabytes") == 0 ? &n_megabytes
                                                                : NULL;

        if (!number)
            path = argv[i];
        else
            is_good = ++i < argc && number_parse_i64(str_from_cstr(argv[i]), number, NULL) == 0;
    }
    if (!is_good || n_runs < 1 || n_runs > MAX_RUNS || n_megabytes < 1 || n_megabytes > 100000) {
        (void)fprintf(stderr, "usage: bench_csv [--runs N] [--megabytes N] [FILE]\n");
        return 2;
    }
    if (path)
        return bench_file(path, path, (size_t)n_runs) ? 0 : 1;
    is_good = bench_made("numbers, bare", write_numbers, n_megabytes * 1000000, (size_t)n_runs);
    return bench_made("text, quoted", write_texts, n_megabytes * 1000000, (size_t)n_runs) && is_good
               ? 0
               : 1;
}
