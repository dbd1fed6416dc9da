/* A source's pages: the program's HTTP client, and what its answers mean for a task. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "lib/services/enrichment/kaggle_parser/markup.h"
#include "lib/source/source_internal.h"

#define PLAIN_TEXT_BYTES ((size_t)65536)
#define META_BYTES       ((size_t)65536)
#define SHOWN_BYTES      ((size_t)160) /* of a body, in a message */

/* What an answer that is none of the good ones says to a task. */
static int
refuse_answer(const struct http_response *response, struct error *err)
{
    struct str body = utf8_cut(response->body, SHOWN_BYTES);
    enum error_code code = ERR_INVALID;

    if (response->status == 401 || response->status == 403)
        code = ERR_AUTH;
    else if (response->status == 404 || response->status == 410)
        code = ERR_NOT_FOUND;
    else if (response->status == 408 || response->status == 425 || response->status >= 500)
        code = ERR_NETWORK; /* the client has tried it several times */
    else if (response->status == 429)
        code = ERR_RATE_LIMIT;
    return error_set(err, code, "the source answered %d: %.*s", response->status, STR_ARG(body));
}

/* The request's texts may lie in the memory that ends with this fetch. */
static int
keep_request(struct source *source, struct source_request *request, struct error *err)
{
    bool ok = true;

    arena_reset(&source->asked);
    request->url = arena_dup(&source->asked, request->url, &ok);
    request->authorization = arena_dup(&source->asked, request->authorization, &ok);
    request->accept = arena_dup(&source->asked, request->accept, &ok);
    request->etag = arena_dup(&source->asked, request->etag, &ok);
    return ok ? 0
              : error_set(err, ERR_TOO_LARGE, "a request of more than %zu bytes",
                          SOURCE_ASKED_BYTES);
}

int
source_fetch(struct source *source, const struct source_request *request, struct source_answer *out,
             struct error *err)
{
    struct source_request known = {0};
    struct http_header headers[2];
    struct http_request asked = {.method = HTTP_GET, .headers = headers};
    struct http_response response;
    struct http_client *http = NULL;
    int rc =
        source_read_record(request, request->bytes, &known, sizeof(known),
                           offsetof(struct source_request, authorization), "source_request", err);

    if (rc == 0)
        rc = keep_request(source, &known, err);
    if (rc == 0)
        rc = container_get_http(source->app, &http, err);
    if (rc < 0)
        return rc;
    asked.url = known.url;
    asked.authorization = known.authorization;
    asked.min_interval_ms = source->min_interval_ms;
    asked.max_body_bytes = source->max_answer_bytes;
    headers[asked.n_headers++] = (struct http_header){
        STR("accept"), known.accept.ptr ? known.accept : STR("application/json")};
    if (known.etag.ptr)
        headers[asked.n_headers++] = (struct http_header){STR("if-none-match"), known.etag};
    arena_reset(&source->page);
    source->is_out_of_memory = false;
    rc = http_fetch(http, &asked, &source->page, &response, err);
    if (rc < 0)
        return rc;
    if ((response.status < 200 || response.status > 299) && response.status != 304)
        return refuse_answer(&response, err);
    *out = (struct source_answer){
        .status = response.status,
        .body = response.body,
        .etag = http_response_header(&response, STR("etag")),
        .final_url = response.url,
    };
    return 0;
}

int
source_parse(struct source *source, struct str text, const struct json **out, struct error *err)
{
    struct json *value = source_alloc(source, sizeof(*value));
    int rc;

    if (!value)
        return error_set(err, ERR_NOMEM, "no memory for an answer");
    rc = json_parse(text, NULL, &source->page, value, err);
    if (rc < 0)
        return error_wrap(err, rc, "the answer is not what was asked for");
    *out = value;
    return 0;
}

void *
source_alloc(struct source *source, size_t n_bytes)
{
    void *memory = arena_alloc(&source->page, n_bytes);

    source->is_out_of_memory |= !memory;
    return memory;
}

char *
source_printf(struct source *source, const char *fmt, ...)
{
    va_list args;
    char *text;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    text = len < 0 ? NULL : source_alloc(source, (size_t)len + 1);
    if (!text)
        return NULL;
    va_start(args, fmt);
    (void)vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}

/* A copy in the page's memory; absent for lack of it. */
static struct str
keep(struct source *source, struct str text)
{
    char *copy = source_alloc(source, text.len + 1);

    if (!copy)
        return STR_NULL;
    (void)memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (struct str){copy, text.len};
}

struct str
source_plain_text(struct source *source, struct str html)
{
    bool ok = true;
    struct str text = kaggle_markup_strip(html, PLAIN_TEXT_BYTES, &source->page, &ok);

    source->is_out_of_memory |= !ok;
    return ok ? text : STR_NULL;
}

struct str
source_escape_query(struct source *source, struct str text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] = "-._~"; /* RFC 3986 section 2.3, beside letters and digits */
    size_t n_bytes;
    char *out;
    size_t len = 0;

    if (__builtin_mul_overflow(text.len, 3, &n_bytes))
        return STR_NULL;
    out = source_alloc(source, n_bytes + 1);
    if (!out)
        return STR_NULL;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c && strchr(plain, c))) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = digits[c >> 4];
            out[len++] = digits[c & 15];
        }
    }
    out[len] = '\0';
    return (struct str){out, len};
}

struct str
source_format_meta(struct source *source, const struct source_meta *members, size_t n_members)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(META_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&text);

    json_begin_object(&json);
    for (size_t i = 0; i < n_members; i++) {
        const struct source_meta *member = &members[i];

        if (member->value) {
            json_name(&json, str_from_cstr(member->name));
            json_value(&json, member->value);
        } else if (member->text.ptr) {
            json_member_str(&json, str_from_cstr(member->name), member->text);
        }
    }
    json_end_object(&json);
    if (text.rc == -ERR_TOO_LARGE)
        return STR("{}"); /* rather none than half of it */
    source->is_out_of_memory |= text.rc < 0;
    return text.rc < 0 ? STR_NULL : keep(source, buf_str(&text));
}
