/* Frames: see frame.h for the picture of the bytes. */

#include "celery/pool/frame.h"

#include <endian.h>
#include <string.h>

#define READ_BYTES      ((size_t)64 << 10)
#define READ_BYTES_MOST ((size_t)1 << 20)
#define KEEP_BYTES      ((size_t)256 << 10) /* a larger buffer is given back when it is empty */
#define FLAG_LEAVING    1U

static void
put_u32(char *out, uint32_t value)
{
    value = htole32(value);
    (void)memcpy(out, &value, sizeof(value));
}

static void
put_u64(char *out, uint64_t value)
{
    value = htole64(value);
    (void)memcpy(out, &value, sizeof(value));
}

static uint32_t
get_u32(const char *bytes)
{
    uint32_t value;

    (void)memcpy(&value, bytes, sizeof(value));
    return le32toh(value);
}

static uint64_t
get_u64(const char *bytes)
{
    uint64_t value;

    (void)memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
}

static int64_t
get_i64(const char *bytes)
{
    return (int64_t)get_u64(bytes);
}

static void
put_header(char *out, size_t n_payload, enum frame_type type, uint64_t serial)
{
    put_u32(out, (uint32_t)n_payload);
    put_u32(out + 4, (uint32_t)type); /* its low byte comes first: type, then zeros */
    put_u64(out + 8, serial);
}

/* Room for a whole frame, its header written; the payload is the caller's to append. */
static int
begin_frame(struct buf *out, enum frame_type type, uint64_t serial, size_t n_payload,
            struct error *err)
{
    char header[FRAME_HEADER_BYTES];

    if (n_payload > UINT32_MAX)
        return error_set(err, ERR_TOO_LARGE, "a payload of %zu bytes is too large", n_payload);
    if (!buf_reserve(out, n_payload + FRAME_HEADER_BYTES)) {
        int rc = buf_status(out, err);

        out->rc = 0; /* nothing was appended: earlier frames are whole */
        return rc;
    }
    put_header(header, n_payload, type, serial);
    buf_append_bytes(out, header, sizeof(header));
    return 0;
}

int
frame_append(struct buf *out, enum frame_type type, uint64_t serial, struct str payload,
             struct error *err)
{
    int rc = begin_frame(out, type, serial, payload.len, err);

    if (rc == 0)
        buf_append(out, payload);
    return rc;
}

int
frame_append_request(struct buf *out, uint64_t serial, const struct frame_request *request,
                     struct error *err)
{
    char head[FRAME_REQUEST_HEAD_BYTES];
    size_t n_payload;
    int rc;

    if (__builtin_add_overflow(request->payload.len, sizeof(head), &n_payload))
        return error_set(err, ERR_TOO_LARGE, "a payload of %zu bytes is too large",
                         request->payload.len);
    rc = begin_frame(out, FRAME_REQUEST, serial, n_payload, err);
    if (rc < 0)
        return rc;
    put_u64(head, request->id);
    put_u64(head + 8, request->task);
    buf_append_bytes(out, head, sizeof(head));
    buf_append(out, request->payload);
    return 0;
}

void
frame_encode_outcome_head(const struct frame_outcome *outcome, uint64_t serial,
                          char out[FRAME_HEADER_BYTES + FRAME_OUTCOME_HEAD_BYTES])
{
    char *head = out + FRAME_HEADER_BYTES; /* [FRAME_OUTCOME_HEAD_BYTES] */

    put_header(out,
               FRAME_OUTCOME_HEAD_BYTES + outcome->message.len + outcome->sends.len +
                   outcome->result.len,
               FRAME_OUTCOME, serial);
    put_u32(head, (uint32_t)outcome->code);
    put_u32(head + 4, outcome->is_leaving ? FLAG_LEAVING : 0);
    put_u64(head + 8, (uint64_t)outcome->retry_after_ms);
    put_u64(head + 16, (uint64_t)outcome->started_us);
    put_u64(head + 24, (uint64_t)outcome->runtime_us);
    put_u64(head + 32, (uint64_t)outcome->peak_rss_kib);
    put_u32(head + 40, (uint32_t)outcome->message.len);
    put_u32(head + 44, (uint32_t)outcome->sends.len);
}

void
frame_encode_log_head(const struct pool_log *log, uint64_t serial,
                      char out[FRAME_HEADER_BYTES + FRAME_LOG_HEAD_BYTES])
{
    put_header(out, FRAME_LOG_HEAD_BYTES + log->lines.len, FRAME_LOG, serial);
    put_u64(out + FRAME_HEADER_BYTES, log->n_dropped);
}

int
frame_decode_log(struct str payload, struct pool_log *out, struct error *err)
{
    if (payload.len < FRAME_LOG_HEAD_BYTES || payload.len > FRAME_LOG_HEAD_BYTES + JOURNAL_BYTES)
        return error_set(err, ERR_INVALID, "a log of %zu bytes is impossible", payload.len);
    *out = (struct pool_log){
        .lines = str_slice(payload, FRAME_LOG_HEAD_BYTES, payload.len),
        .n_dropped = get_u64(payload.ptr),
    };
    return 0;
}

int
frame_decode_request(struct str payload, struct frame_request *out, struct error *err)
{
    if (payload.len < FRAME_REQUEST_HEAD_BYTES)
        return error_set(err, ERR_INVALID, "a request of %zu bytes is too short", payload.len);
    *out = (struct frame_request){
        .id = get_u64(payload.ptr),
        .task = get_u64(payload.ptr + 8),
        .payload = {payload.ptr + FRAME_REQUEST_HEAD_BYTES, payload.len - FRAME_REQUEST_HEAD_BYTES},
    };
    return 0;
}

int
frame_decode_outcome(struct str payload, struct frame_outcome *out, struct error *err)
{
    const char *head = payload.ptr;
    struct frame_outcome outcome;
    uint32_t n_message, n_sends, code;
    size_t n_texts;

    if (payload.len < FRAME_OUTCOME_HEAD_BYTES)
        return error_set(err, ERR_INVALID, "an outcome of %zu bytes is too short", payload.len);
    code = get_u32(head);
    n_texts = payload.len - FRAME_OUTCOME_HEAD_BYTES;
    n_message = get_u32(head + 40);
    n_sends = get_u32(head + 44);
    outcome = (struct frame_outcome){
        .code = (int)code,
        .is_leaving = get_u32(head + 4) & FLAG_LEAVING,
        .retry_after_ms = get_i64(head + 8),
        .started_us = get_i64(head + 16),
        .runtime_us = get_i64(head + 24),
        .peak_rss_kib = get_i64(head + 32),
    };
    if (code > INT16_MAX || n_message > FRAME_MESSAGE_BYTES || n_message > n_texts ||
        n_sends > n_texts - n_message || outcome.retry_after_ms < 0 || outcome.started_us < 0 ||
        outcome.runtime_us < 0 || outcome.peak_rss_kib < 0)
        return error_set(err, ERR_INVALID, "an outcome has impossible values");
    outcome.message = (struct str){head + FRAME_OUTCOME_HEAD_BYTES, n_message};
    outcome.sends = (struct str){outcome.message.ptr + n_message, n_sends};
    outcome.result =
        (struct str){outcome.sends.ptr + n_sends, n_texts - (size_t)n_message - n_sends};
    *out = outcome;
    return 0;
}

void
frame_reader_init(struct frame_reader *reader, size_t max_payload_bytes)
{
    *reader = (struct frame_reader){.max_payload_bytes = max_payload_bytes};
    buf_init(&reader->bytes, max_payload_bytes + FRAME_HEADER_BYTES + 2 * READ_BYTES_MOST);
}

void
frame_reader_fini(struct frame_reader *reader)
{
    buf_fini(&reader->bytes);
    reader->n_taken = 0;
}

/* Forget frames that were given out. */
static void
drop_taken(struct frame_reader *reader)
{
    size_t n_left = reader->bytes.len - reader->n_taken;

    if (reader->n_taken == 0)
        return;
    if (n_left > 0)
        (void)memmove(reader->bytes.ptr, reader->bytes.ptr + reader->n_taken, n_left);
    reader->bytes.len = n_left;
    reader->n_taken = 0;
}

char *
frame_reader_space(struct frame_reader *reader, size_t *n_room)
{
    size_t n_want = READ_BYTES;
    char *space;

    drop_taken(reader);
    if (reader->bytes.len == 0 && reader->bytes.cap > KEEP_BYTES)
        buf_fini(&reader->bytes);
    if (reader->bytes.len >= FRAME_HEADER_BYTES) {
        size_t n_frame = FRAME_HEADER_BYTES + get_u32(reader->bytes.ptr);
        size_t n_missing = n_frame > reader->bytes.len ? n_frame - reader->bytes.len : 0;

        if (n_missing > n_want)
            n_want = n_missing < READ_BYTES_MOST ? n_missing : READ_BYTES_MOST;
    }
    space = buf_reserve(&reader->bytes, n_want);
    reader->bytes.rc = 0; /* what has come stays good */
    *n_room = n_want;
    return space;
}

void
frame_reader_commit(struct frame_reader *reader, size_t n_bytes)
{
    buf_commit(&reader->bytes, n_bytes);
}

int
frame_reader_next(struct frame_reader *reader, struct frame *out, struct error *err)
{
    const char *bytes;
    size_t n_left = reader->bytes.len - reader->n_taken;
    uint32_t n_payload, type;

    if (n_left < FRAME_HEADER_BYTES)
        return 0;
    bytes = reader->bytes.ptr + reader->n_taken;
    n_payload = get_u32(bytes);
    type = get_u32(bytes + 4);
    if (type < FRAME_READY || type > FRAME_LOG)
        return error_set(err, ERR_INVALID, "a frame has the unknown type %u", type);
    if (n_payload > reader->max_payload_bytes)
        return error_set(err, ERR_TOO_LARGE, "a frame of %u bytes exceeds the limit of %zu",
                         n_payload, reader->max_payload_bytes);
    if (n_left - FRAME_HEADER_BYTES < n_payload)
        return 0;
    *out = (struct frame){
        .type = (enum frame_type)type,
        .serial = get_u64(bytes + 8),
        .payload = {bytes + FRAME_HEADER_BYTES, n_payload},
    };
    reader->n_taken += FRAME_HEADER_BYTES + n_payload;
    return 1;
}
