/* See probe_record.h. */

#include "tests/tools/probe_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

/* A path as the system wants it; out has 4,096 bytes. */
static int
copy_path(struct str path, char *out, struct error *err)
{
    int n = snprintf(out, 4096, "%.*s", STR_ARG(path));

    return n < 0 || n >= 4096 ? error_set(err, ERR_INVALID, "the record's path is too long") : 0;
}

int
probe_record_write(struct str path, const char *event, struct str token, struct error *err)
{
    char name[4096];
    char line[512];
    int n;
    int fd;
    int rc;

    if (!path.len)
        return 0;
    rc = copy_path(path, name, err);
    if (rc < 0)
        return rc;
    n = snprintf(line, sizeof(line), "%s %.*s %d %" PRId64 "\n", event, STR_ARG(token),
                 (int)getpid(), clock_mono_us(&clock_system) / US_PER_MS);
    if (n < 0 || n >= (int)sizeof(line))
        return error_set(err, ERR_INVALID, "the token is too long: %zu bytes", token.len);
    fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", name);
    if (write(fd, line, (size_t)n) != n)
        rc = error_set_errno(err, "cannot write to '%s'", name);
    (void)close(fd);
    return rc;
}

int
probe_record_count(struct str path, struct str token, int64_t *out, struct error *err)
{
    FILE *file;
    char name[4096];
    char line[512];
    char wanted[256];
    int64_t count = 0;
    int rc;

    *out = 0;
    if (!path.len)
        return 0;
    rc = copy_path(path, name, err);
    if (rc < 0)
        return rc;
    (void)snprintf(wanted, sizeof(wanted), "start %.*s ", STR_ARG(str_slice(token, 0, 200)));
    file = fopen(name, "re");
    if (!file)
        return errno == ENOENT ? 0 : error_set_errno(err, "cannot open '%s'", name);
    while (fgets(line, sizeof(line), file))
        count += strncmp(line, wanted, strlen(wanted)) == 0;
    (void)fclose(file);
    *out = count;
    return 0;
}
