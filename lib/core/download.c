/* A fetch whose sink is a file under way, and what its answers mean for that file. */

#include "lib/core/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"
#include "lib/core/download_part.h"
#include "lib/core/http_headers.h"
#include "lib/core/http_url.h"

#define TOTAL_TIMEOUT_MS      (INT64_C(6) * 3600 * 1000)
#define PROGRESS_EVERY_BYTES  ((uint64_t)256 << 10)
#define COPY_BLOCK_BYTES      ((size_t)65536)
#define SERVER_MESSAGE_LENGTH 120
#define MAX_ROUNDS            5

struct download {
    struct download_part part;
    const struct progress *progress;
    uint64_t total;    /* 0 = unknown */
    uint64_t reported; /* bytes at the last report */
    uint64_t n_kept;   /* bytes of an earlier call that this one builds on */
};

static int
append_and_report(struct download *self, struct str bytes, struct error *err)
{
    int rc = download_part_append(&self->part, bytes, err);

    if (rc < 0)
        return rc;
    if (progress_is_cancelled(self->progress))
        return error_set(err, ERR_CANCELLED, "cancelled");
    if (self->part.n_bytes - self->reported >= PROGRESS_EVERY_BYTES) {
        self->reported = self->part.n_bytes;
        progress_report(self->progress, (int64_t)self->part.n_bytes, (int64_t)self->total);
    }
    return 0;
}

static int
sink_write(void *context, struct str bytes, struct error *err)
{
    return append_and_report(context, bytes, err);
}

static int
sink_reset(void *context, struct error *err)
{
    struct download *self = context;

    self->n_kept = self->reported = 0;
    return download_part_clear(&self->part, err);
}

/* The head of the bytes to come: whose they are, and how many. */
static int
sink_begin(void *context, const struct http_response *head, struct error *err)
{
    struct download *self = context;
    int64_t length = 0;
    int rc;

    if (number_parse_i64(http_response_header(head, STR("content-length")), &length, NULL) < 0 ||
        length < 0)
        length = 0;
    self->total = length ? self->part.n_bytes + (uint64_t)length : 0;
    /* A 206 may leave the ETag out: it is the one that If-Range named. */
    if (head->status == 200 || http_response_header(head, STR("etag")).ptr) {
        rc = download_part_set_etag(&self->part, http_response_header(head, STR("etag")), err);
        if (rc < 0)
            return rc;
    }
    return download_part_reserve(&self->part, (uint64_t)length, err);
}

/* The server's digest of the object as it is stored, where that is what was sent. */
static bool
find_goog_md5(const struct http_response *answer, unsigned char md5[16])
{
    struct str stored = http_response_header(answer, STR("x-goog-stored-content-encoding"));

    if (http_response_header(answer, STR("content-encoding")).ptr ||
        (stored.ptr && !str_equal_ignore_case(stored, STR("identity"))))
        return false;
    for (size_t i = 0; i < answer->n_headers; i++) {
        if (str_equal(answer->headers[i].name, STR("x-goog-hash")) &&
            http_goog_md5_parse(answer->headers[i].value, md5))
            return true;
    }
    return false;
}

/* A status that brings no file, as an error. */
static int
refuse_status(const struct http_response *answer, struct error *err)
{
    struct str message = http_response_header(answer, STR("x-error-message"));
    char shown[HTTP_URL_SHOWN_BYTES];
    enum error_code code = ERR_NETWORK;

    if (answer->status == 401 || answer->status == 403)
        code = ERR_AUTH;
    if (answer->status == 404 || answer->status == 410)
        code = ERR_NOT_FOUND;
    message = str_slice(message, 0, SERVER_MESSAGE_LENGTH);
    return error_set(err, code, "%s answered with status %d%s%.*s",
                     http_url_format_shown(answer->url, shown), answer->status,
                     message.len ? ": " : "", STR_ARG(message));
}

/* Does a 416 say that we already have every byte? */
static bool
is_complete(const struct download *self, const struct http_response *answer)
{
    struct http_content_range range;

    return answer->status == 416 &&
           http_content_range_parse(http_response_header(answer, STR("content-range")), &range) &&
           range.has_total && range.total == self->part.n_bytes;
}

/* The caller's request, continued where the part ends. */
static int
fetch_rest(struct download *self, struct http_client *http, const struct http_request *request,
           const struct download_check *check, struct arena *arena, struct http_response *out,
           struct error *err)
{
    const struct http_sink sink = {sink_write, sink_reset, self, sink_begin};
    struct http_request rest = *request;
    struct str etag = STR_NULL;
    struct http_header *headers = arena_calloc(arena, request->n_headers + 1, sizeof(*headers));
    int rc = 0;

    if (!headers)
        return error_set(err, ERR_NOMEM, "no memory for a download");
    if (self->part.n_bytes > 0)
        etag = download_part_etag(&self->part, arena);
    if (!etag.ptr || (check && check->n_bytes && self->part.n_bytes > check->n_bytes))
        rc = download_part_clear(&self->part, err);
    if (rc < 0)
        return rc;
    self->n_kept = self->reported = self->part.n_bytes;
    if (request->n_headers)
        (void)memcpy(headers, request->headers, request->n_headers * sizeof(*headers));
    rest.headers = headers;
    if (self->part.n_bytes > 0)
        headers[rest.n_headers++] = (struct http_header){STR("If-Range"), etag};
    rest.range_from = self->part.n_bytes;
    rest.sink = &sink;
    if (rest.total_timeout_ms == 0)
        rest.total_timeout_ms = TOTAL_TIMEOUT_MS;
    if (rest.max_body_bytes == 0 && check)
        rest.max_body_bytes = check->n_bytes;
    return http_fetch(http, &rest, arena, out, err);
}

/* What another round should do. */
enum next_round {
    NEXT_NONE,
    NEXT_CONTINUE, /* the answer was whole by its own account, and shorter than the file */
    NEXT_FRESH,    /* what an earlier call left is no good */
};

/* The answer brought bytes or says that there are none left: is the file done? */
static int
finish_round(struct download *self, const struct http_response *answer,
             const struct download_check *check, uint64_t n_before, enum next_round *next,
             struct error *err)
{
    unsigned char md5[16];
    int rc;

    /* Some way between cut it, lengths and all.  A file that really is shorter brings nothing the
     * next time, and fails its check. */
    if (check && self->part.n_bytes < check->n_bytes && self->part.n_bytes > n_before) {
        *next = NEXT_CONTINUE;
        return error_set(err, ERR_NETWORK, "the answer ended at byte %" PRIu64 " of %" PRIu64,
                         self->part.n_bytes, check->n_bytes);
    }
    rc = download_part_finish(&self->part, check, find_goog_md5(answer, md5) ? md5 : NULL, err);
    if (rc == -ERR_CORRUPT && self->n_kept > 0)
        *next = NEXT_FRESH;
    if (rc == 0)
        progress_report(self->progress, (int64_t)self->part.n_bytes, (int64_t)self->part.n_bytes);
    return rc;
}

/* One round: fetch, and look at the answer. */
static int
run_round(struct download *self, struct http_client *http, const struct http_request *request,
          const struct download_check *check, struct arena *arena, struct http_response *out,
          enum next_round *next, struct error *err)
{
    uint64_t n_before = self->part.n_bytes;
    int rc = fetch_rest(self, http, request, check, arena, out, err);

    if (rc < 0)
        return rc;
    if (out->status == 200 || out->status == 206 || is_complete(self, out))
        return finish_round(self, out, check, n_before, next, err);
    if (out->status == 304) {
        download_part_drop(&self->part, false);
        return 0;
    }
    if (out->status == 416 && self->part.n_bytes > 0)
        *next = NEXT_FRESH;
    return refuse_status(out, err);
}

int
download_file(struct http_client *http, const struct http_request *request, const char *path,
              const struct download_check *check, const struct progress *progress,
              struct arena *arena, struct http_response *out, struct error *err)
{
    struct http_response answer = {0};
    enum next_round next = NEXT_CONTINUE;
    int rc = 0;

    for (int round = 0; round < MAX_ROUNDS && next != NEXT_NONE; round++) {
        struct download self = {.progress = progress};

        rc = download_part_open(&self.part, path, err);
        if (rc == 0 && next == NEXT_FRESH)
            rc = download_part_clear(&self.part, err);
        next = NEXT_NONE;
        if (rc == 0)
            rc = run_round(&self, http, request, check, arena, &answer, &next, err);
        if (rc < 0)
            download_part_drop(&self.part, false);
        download_part_close(&self.part);
    }
    if (rc == 0)
        *out = answer;
    return rc;
}

static int
copy_blocks(struct download *self, int fd, const char *from, struct error *err)
{
    char block[COPY_BLOCK_BYTES];

    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        int rc;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, "cannot read '%s'", from);
        if (n == 0)
            return 0;
        rc = append_and_report(self, (struct str){block, (size_t)n}, err);
        if (rc < 0)
            return rc;
    }
}

int
download_copy(const char *from, const char *path, const struct download_check *check,
              const struct progress *progress, struct error *err)
{
    CLEANUP(file_close_fdp) int fd = open(from, O_RDONLY | O_CLOEXEC);
    struct download self = {.progress = progress, .total = check ? check->n_bytes : 0};
    int rc;

    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", from);
    rc = download_part_open(&self.part, path, err);
    if (rc == 0)
        rc = download_part_clear(&self.part, err);
    if (rc == 0)
        rc = copy_blocks(&self, fd, from, err);
    if (rc == 0)
        rc = download_part_finish(&self.part, check, NULL, err);
    if (rc < 0)
        download_part_drop(&self.part, true); /* a copy is not continued */
    else
        progress_report(progress, (int64_t)self.part.n_bytes, (int64_t)self.part.n_bytes);
    download_part_close(&self.part);
    return rc < 0 ? error_wrap(err, rc, "cannot copy '%s'", from) : 0;
}
