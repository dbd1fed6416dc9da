/* celery/canvas: a signature that is read is written to one that reads the same; applying it makes
 * messages that can be written, and takes no more memory than its arena has. */

#include <assert.h>

#include "base/json_scan.h"
#include "celery/canvas/outcome.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)16 << 20)

static void
check_round_trip(struct str text, struct arena *arena)
{
    struct buf once = BUF_INIT(ARENA_BYTES);
    struct buf twice = BUF_INIT(ARENA_BYTES);
    struct canvas_node *node;

    if (canvas_parse(text, arena, &node, NULL) == 0) {
        canvas_write(node, &once);
        if (once.rc == 0 && canvas_parse(buf_str(&once), arena, &node, NULL) == 0) {
            canvas_write(node, &twice);
            assert(str_equal(buf_str(&once), buf_str(&twice)));
            assert(canvas_count_ends(node) >= 0);
        }
    }
    buf_fini(&once);
    buf_fini(&twice);
}

static void
check_plan(struct str text, struct arena *arena)
{
    struct canvas_plan plan = {.arena = arena,
                               .parent_id = STR("p"),
                               .root_id = STR("r"),
                               .seed = STR("s"),
                               .default_queue = STR("celery")};
    struct celery_message message;
    struct canvas_outcome outcome = {0};

    celery_message_init(&message, STR("t"), STR("p"));
    message.callbacks = text;
    message.chain = text;
    message.errbacks = text;
    buf_init(&plan.children, ARENA_BYTES);
    error_ignore(canvas_succeed(&plan, &message, STR("1"), NULL)); /* what came of it is below */
    error_ignore(canvas_fail(&plan, &message, &outcome, NULL));
    for (struct canvas_message *sent = plan.messages; sent; sent = sent->next) {
        struct buf out = BUF_INIT(ARENA_BYTES);

        error_ignore(celery_message_encode_envelope(&sent->message, &out, NULL));
        buf_fini(&out);
    }
    buf_fini(&plan.children);
}

static void
check_chord(struct str text, struct arena *arena)
{
    struct canvas_plan plan = {.arena = arena,
                               .parent_id = STR("p"),
                               .root_id = STR("r"),
                               .seed = STR("s"),
                               .default_queue = STR("celery")};
    struct canvas_chord chord = {
        .group_id = STR("g"), .body = text, .parts = &text, .n_parts = 1, .saved = text};
    struct canvas_outcome outcome = {0};
    struct str exception, reason;

    buf_init(&plan.children, ARENA_BYTES);
    error_ignore(canvas_end_chord(&plan, &chord, &outcome, &exception, &reason, NULL));
    error_ignore(canvas_fail_chord(&plan, text, &outcome, NULL));
    buf_fini(&plan.children);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct json_limits limits = {
        JSON_ALLOW_NAN | JSON_STRICT_UTF8 | JSON_KEEP_SURROGATES, 512};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct str text = {(const char *)data, size};
    struct str value;

    if (json_scan(text, &limits, &value, NULL) == 0) {
        check_round_trip(value, &arena);
        check_plan(value, &arena);
        check_chord(value, &arena);
    }
    arena_fini(&arena);
    return 0;
}
