/* The body of an answer on its way, with its caps.
 *
 * A sink sees one object from byte 0 to its end, however many transfers that takes.  A strong ETag
 * is what makes two transfers the same object; without one (or where the answer was compressed, so
 * that offsets mean something else) a broken transfer starts over. */

#include "lib/core/http_body.h"

#include <inttypes.h>

#include "lib/core/http_headers.h"

/* The count of received bytes may be one network buffer behind the decoder. */
#define WIRE_LAG_BYTES 16384

void
http_body_init(struct http_body *body, const struct http_request *request, size_t max_bytes)
{
    *body = (struct http_body){.sink = request->sink,
                               .max_bytes = max_bytes,
                               .position = request->sink ? request->range_from : 0};
    buf_init(&body->memory,
             max_bytes > HTTP_BODY_CUT_BYTES && !request->sink ? max_bytes : HTTP_BODY_CUT_BYTES);
}

void
http_body_fini(struct http_body *body)
{
    buf_fini(&body->memory);
}

void
http_body_expect(struct http_body *body, struct str url, enum http_method method)
{
    buf_clear(&body->memory);
    body->must_restart = false;
    body->is_head_request = method == HTTP_HEAD;
    body->url = url;
    body->head = NULL;
    body->is_for_sink = false;
    body->n_decoded = 0;
}

bool
http_body_wants_range(const struct http_body *body)
{
    return body->position > 0 && (body->etag[0] || !body->was_touched);
}

/* The answer is not the rest of what we have: ask for all of it the next time. */
static int
demand_restart(struct http_body *body, const char *reason, struct error *err)
{
    body->must_restart = true;
    body->was_touched = true;
    body->etag[0] = '\0';
    return error_set(err, ERR_NETWORK, "cannot continue at byte %" PRIu64 ": %s", body->position,
                     reason);
}

static bool
is_encoded(const struct http_head *head)
{
    struct str encoding = http_head_find(head, STR("content-encoding"));

    return encoding.len > 0 && !str_equal_ignore_case(encoding, STR("identity"));
}

/* Only a strong ETag may stand in If-Range: RFC 9110 section 13.1.5. */
static struct str
strong_etag(const struct http_head *head)
{
    struct str etag = http_head_find(head, STR("etag"));

    if (etag.len < 3 || etag.len >= HTTP_BODY_ETAG_BYTES || etag.ptr[0] != '"' || is_encoded(head))
        return STR_NULL;
    return etag;
}

/* Put the sink at the first byte that this answer brings. */
static int
place_sink(struct http_body *body, const struct http_head *head, struct error *err)
{
    struct http_content_range range = {0};
    struct str etag = strong_etag(head);
    int rc = 0;

    if (head->status == 206) {
        if (!http_content_range_parse(http_head_find(head, STR("content-range")), &range) ||
            !range.has_range || range.first != body->position || is_encoded(head))
            return demand_restart(body, "the answer is another part", err);
        if (body->etag[0] && etag.ptr && !str_equal(etag, str_from_cstr(body->etag)))
            return demand_restart(body, "the object has changed", err);
    } else {
        body->etag[0] = '\0';
        if (body->position > 0)
            rc = body->sink->reset(body->sink->context, err);
        body->position = 0;
    }
    if (rc < 0)
        return rc;
    body->was_touched = true;
    if (etag.ptr) {
        (void)memcpy(body->etag, etag.ptr, etag.len);
        body->etag[etag.len] = '\0';
    }
    return 0;
}

/* The length that the answer announces must fit under the cap. */
static int
check_length(const struct http_body *body, const struct http_head *head, struct error *err)
{
    struct str text = http_head_find(head, STR("content-length"));
    uint64_t length = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' ||
            __builtin_mul_overflow(length, (uint64_t)10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(text.ptr[i] - '0'), &length))
            return 0; /* the library judges what is no number */
    }
    if (body->max_bytes && (length > body->max_bytes || body->position > body->max_bytes - length))
        return error_set(err, ERR_TOO_LARGE,
                         "%" PRIu64 " bytes announced, at most %" PRIu64 " wanted", length,
                         body->max_bytes);
    return 0;
}

int
http_body_begin(void *context, const struct http_head *head, struct error *err)
{
    struct http_body *body = context;
    struct http_response seen;
    int rc = 0;

    body->head = head;
    if (body->is_head_request)
        return 0;
    if (head->status == 416 && body->sink && body->was_touched && http_body_wants_range(body))
        return demand_restart(body, "the range is refused", err);
    body->is_for_sink = body->sink && (head->status == 200 || head->status == 206);
    if (body->is_for_sink)
        rc = place_sink(body, head, err);
    if (rc == 0 && head->status < 300)
        rc = check_length(body, head, err);
    if (rc < 0 || !body->is_for_sink || !body->sink->begin)
        return rc;
    seen = (struct http_response){.status = head->status,
                                  .url = body->url,
                                  .headers = head->fields,
                                  .n_headers = head->n_fields,
                                  .body = STR("")};
    return body->sink->begin(body->sink->context, &seen, err);
}

static int
keep_in_memory(struct http_body *body, struct str bytes, struct error *err)
{
    size_t room = HTTP_BODY_CUT_BYTES - body->memory.len;
    bool is_cut = (body->head->status >= 300 || body->sink) && bytes.len > room;

    buf_append(&body->memory, is_cut ? str_slice(bytes, 0, room) : bytes);
    if (buf_status(&body->memory, NULL) < 0)
        return error_set(err, ERR_NOMEM, "no memory for an answer of %" PRIu64 " bytes",
                         body->n_decoded);
    return is_cut ? HTTP_BODY_ENOUGH : 0;
}

int
http_body_write(void *context, struct str bytes, uint64_t n_wire_bytes, struct error *err)
{
    struct http_body *body = context;
    uint64_t whole;
    int rc;

    body->n_decoded += bytes.len;
    if (body->n_decoded / HTTP_BODY_MAX_RATIO > n_wire_bytes + WIRE_LAG_BYTES)
        return error_set(err, ERR_TOO_LARGE, "the answer expands to more than %d times its size",
                         HTTP_BODY_MAX_RATIO);
    if (__builtin_add_overflow(body->is_for_sink ? body->position : body->memory.len,
                               (uint64_t)bytes.len, &whole) ||
        (body->head->status < 300 && body->max_bytes && whole > body->max_bytes))
        return error_set(err, ERR_TOO_LARGE, "the answer is larger than %" PRIu64 " bytes",
                         body->max_bytes);
    if (!body->is_for_sink)
        return keep_in_memory(body, bytes, err);
    rc = body->sink->write(body->sink->context, bytes, err);
    if (rc == 0)
        body->position = whole;
    return rc;
}
