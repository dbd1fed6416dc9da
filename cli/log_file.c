#include "cli/log_file.h"

#include <stdio.h>

#include "base/log.h"

int
cli_log_open(struct str path, struct error *err)
{
    char text[4096];

    if (!path.ptr) {
        log_never_block();
        return 0;
    }
    if (path.len == 0 || path.len >= sizeof(text))
        return error_set(err, ERR_ARGS, "--logfile needs a path of 1 to %zu bytes",
                         sizeof(text) - 1);
    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(path));
    return log_open_file(text, err);
}
