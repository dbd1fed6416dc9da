/* The message layer for other programs: one JSON text per line in, one per line out.  Not a test
 * itself; tests/integration/test_celery_messages.py holds it against real Celery.
 *
 *     recode  an envelope -> the envelope encoded again, or {"refused": reason, "message": text}
 *     send    {"task":, "id":, "args":, "kwargs":, "compression":, "eta_us":, "expires_us":,
 * "now_us":}
 *             -> an envelope
 *     repr    a value -> its text by Celery's saferepr, as a JSON string
 *     python  a value -> its text by Python's repr() */

#include "base/json_scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_writer.h"
#include "celery/codec_repr.h"
#include "celery/message.h"

#define LINE_BYTES ((size_t)64 << 20)

static int
recode(struct str line, struct arena *arena, struct buf *out, struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    struct celery_refusal refusal;
    struct celery_message message;

    if (celery_message_decode_envelope(line, NULL, arena, &message, &refusal, err) == 0)
        return celery_message_encode_envelope(&message, out, err);
    json_begin_object(&json);
    json_member_str(&json, STR("refused"), str_from_cstr(celery_refusal_reason(refusal.kind)));
    json_member_str(&json, STR("message"), str_from_cstr(err->message));
    json_end_object(&json);
    return 0;
}

/* The text of a member, for values that are passed on. */
static struct str
find_slice(struct str object, struct str name)
{
    struct json_cursor members = json_cursor_open(object);
    struct json_slice member;

    while (json_cursor_next(&members, &member)) {
        if (json_slice_is_named(&member, name))
            return member.value;
    }
    return STR_NULL;
}

static int
send(struct str line, struct arena *arena, struct buf *out, struct error *err)
{
    struct celery_message message;
    int64_t eta_us;
    int64_t expires_us;
    int64_t now_us = 0;
    struct json call;
    int rc = json_parse(line, &(struct json_limits){JSON_ALLOW_NAN | JSON_KEEP_SURROGATES, 512},
                        arena, &call, err);

    if (rc < 0)
        return rc;
    celery_message_init(&message, json_get_str(&call, STR("task")), json_get_str(&call, STR("id")));
    message.routing_key = STR("celery");
    message.origin = STR("gen1@host1");
    message.args = find_slice(line, STR("args"));
    message.kwargs = find_slice(line, STR("kwargs"));
    message.compression = json_get_str(&call, STR("compression"));
    error_ignore(json_is_i64(json_get(&call, STR("now_us")), &now_us) ? 0 : 1); /* 0 will do */
    if (json_is_i64(json_get(&call, STR("eta_us")), &eta_us))
        rc = celery_message_set_eta(&message, eta_us, arena, err);
    if (rc == 0 && json_is_i64(json_get(&call, STR("expires_us")), &expires_us))
        rc = celery_message_set_expires(&message, expires_us, now_us, arena, err);
    return rc < 0 ? rc : celery_message_encode_envelope(&message, out, err);
}

static int
show(struct str line, enum celery_repr_form form, struct buf *out, struct error *err)
{
    struct buf text = BUF_INIT(LINE_BYTES);
    int rc;

    celery_repr_append(&text, line, form);
    json_append_quoted(out, buf_str(&text), JSON_STYLE_PYTHON);
    rc = buf_status(&text, err);
    buf_fini(&text);
    return rc;
}

static int
filter(const char *mode, struct str line, struct buf *out, struct error *err)
{
    struct arena arena = ARENA_INIT(LINE_BYTES);
    int rc;

    if (strcmp(mode, "recode") == 0)
        rc = recode(line, &arena, out, err);
    else if (strcmp(mode, "send") == 0)
        rc = send(line, &arena, out, err);
    else if (strcmp(mode, "repr") == 0)
        rc = show(line, CELERY_REPR_SAFE, out, err);
    else
        rc = show(line, CELERY_REPR_PYTHON, out, err);
    arena_fini(&arena);
    return rc;
}

int
main(int argc, char **argv)
{
    struct buf out = BUF_INIT(LINE_BYTES);
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int status = EXIT_SUCCESS;

    while (argc == 2 && (len = getline(&line, &cap, stdin)) > 0) {
        struct str text = {line, (size_t)len - (line[len - 1] == '\n')};
        struct error err;

        buf_clear(&out);
        if (filter(argv[1], text, &out, &err) < 0) {
            (void)fprintf(stderr, "%s\n", err.message);
            status = EXIT_FAILURE;
        }
        (void)printf("%s\n", buf_cstr(&out));
    }
    free(line);
    buf_fini(&out);
    return status;
}
