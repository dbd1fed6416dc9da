/* Runs a fuzz target over files or folders of seeds, without a fuzzer: the plain test of the seeds.
 */

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "fuzz/fuzz.h"

#define SEED_BYTES ((size_t)16 << 20)

static int
replay_file(const char *path)
{
    struct buf bytes = BUF_INIT(SEED_BYTES);
    struct error err;
    int rc = file_read(path, &bytes, &err);

    if (rc == 0)
        rc = LLVMFuzzerTestOneInput((const uint8_t *)buf_cstr(&bytes), bytes.len);
    else
        (void)fprintf(stderr, "# %s\n", err.message);
    buf_fini(&bytes);
    return rc;
}

static int
replay_folder(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int rc = dir ? 0 : -1;

    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        char file[PATH_MAX];

        if (entry->d_name[0] != '.' &&
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file))
            rc = replay_file(file);
    }
    if (dir)
        (void)closedir(dir);
    return rc;
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat info;

        if (stat(argv[i], &info) < 0 ||
            (S_ISDIR(info.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i])) != 0) {
            (void)fprintf(stderr, "cannot replay '%s'\n", argv[i]);
            return EXIT_FAILURE;
        }
    }
    return LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
}
