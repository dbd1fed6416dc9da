/* "cosine key" per line, newest last.  Nothing here may fail a start: what cannot be read or
 * written is measured again. */

#include "lib/services/ml/precision_notes.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/number.h"

#define FILE_NAME      "encoder-checks.txt"
#define FILE_MAX_BYTES ((size_t)256 << 10)
#define KEPT_BYTES     ((size_t)64 << 10) /* older lines go */
#define PATH_BYTES     (PATH_MAX + 32)

static int
read_notes(const struct precision_notes *self, char path[PATH_BYTES], struct buf *out)
{
    if (self->dir[0] == '\0')
        return -ERR_NOT_FOUND;
    (void)snprintf(path, PATH_BYTES, "%s/" FILE_NAME, self->dir);
    return file_read(path, out, NULL);
}

/* A line's cosine if it is of this key; a line that is not ours is not of any key. */
static bool
is_line_of(struct str line, struct str key, double *min_cosine)
{
    struct str rest = line;
    struct str number;

    return str_split(&rest, ' ', &number) && str_equal(rest, key) &&
           number_parse_f64(number, min_cosine, NULL) == 0;
}

static bool
find(void *context, struct str key, double *min_cosine)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FILE_MAX_BYTES);
    char path[PATH_BYTES];
    struct str rest;
    struct str line;
    bool is_found = false;

    if (read_notes(context, path, &text) < 0)
        return false;
    rest = buf_str(&text);
    while (!is_found && str_split(&rest, '\n', &line))
        is_found = is_line_of(line, key, min_cosine);
    return is_found;
}

static void
save(void *context, struct str key, double min_cosine)
{
    const struct precision_notes *self = context;
    CLEANUP(buf_fini) struct buf old = BUF_INIT(FILE_MAX_BYTES);
    CLEANUP(buf_fini) struct buf new = BUF_INIT(FILE_MAX_BYTES);
    char path[PATH_BYTES];
    struct str rest;
    struct str line;
    double unused;
    int rc = read_notes(self, path, &old);

    if (self->dir[0] == '\0')
        return;
    rest = rc == 0 ? buf_str(&old) : STR_NULL;
    while (str_split(&rest, '\n', &line)) {
        if (line.len > 0 && rest.len < KEPT_BYTES && !is_line_of(line, key, &unused))
            buf_printf(&new, "%.*s\n", STR_ARG(line));
    }
    buf_printf(&new, "%.9f %.*s\n", min_cosine, STR_ARG(key));
    if (buf_status(&new, NULL) == 0 && file_make_dirs(self->dir, NULL) == 0)
        error_ignore(file_write_atomic(path, buf_str(&new), NULL)); /* measured again then */
}

void
precision_notes_init(struct precision_notes *self, struct str cache_dir)
{
    bool fits = cache_dir.len > 0 && cache_dir.len < sizeof(self->dir);

    self->notes = (struct encoder_notes){self, find, save};
    (void)snprintf(self->dir, sizeof(self->dir), "%.*s", fits ? (int)cache_dir.len : 0,
                   cache_dir.len > 0 ? cache_dir.ptr : "");
}
