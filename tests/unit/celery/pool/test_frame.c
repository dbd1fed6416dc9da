/* celery/pool/frame and board: bytes to values, and who wins a request. */

#include "tests/unit/check.h"

#include "celery/pool/board.h"
#include "celery/pool/frame.h"

static void
feed(struct frame_reader *reader, struct str bytes)
{
    while (bytes.len > 0) {
        size_t n_room;
        char *space = frame_reader_space(reader, &n_room);

        assert_non_null(space);
        if (n_room > bytes.len)
            n_room = bytes.len;
        (void)memcpy(space, bytes.ptr, n_room);
        frame_reader_commit(reader, n_room);
        bytes = str_slice(bytes, n_room, bytes.len);
    }
}

static void
test_request_in_every_cut(void **state)
{
    struct frame_request request = {UINT64_MAX, 0x123456789ABCDEF0, STR("[1, 2]")};
    struct buf bytes = BUF_INIT(1000);
    size_t n_frame;

    (void)state;
    assert_int_equal(frame_append_request(&bytes, 7, &request, NULL), 0);
    n_frame = bytes.len;
    assert_int_equal(n_frame, FRAME_HEADER_BYTES + FRAME_REQUEST_HEAD_BYTES + 6);
    assert_int_equal(frame_append(&bytes, FRAME_READY, 8, STR_NULL, NULL), 0);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        struct frame_reader reader;
        struct frame frame;
        struct frame_request got;

        frame_reader_init(&reader, 100);
        feed(&reader, str_slice(buf_str(&bytes), 0, cut));
        if (cut < n_frame)
            assert_int_equal(frame_reader_next(&reader, &frame, NULL), 0);
        feed(&reader, str_slice(buf_str(&bytes), cut, bytes.len));
        assert_int_equal(frame_reader_next(&reader, &frame, NULL), 1);
        assert_int_equal(frame.type, FRAME_REQUEST);
        assert_int_equal(frame.serial, 7);
        assert_int_equal(frame_decode_request(frame.payload, &got, NULL), 0);
        assert_true(got.id == request.id && got.task == request.task);
        assert_str_equal(got.payload, "[1, 2]");
        assert_int_equal(frame_reader_next(&reader, &frame, NULL), 1);
        assert_int_equal(frame.type, FRAME_READY);
        assert_int_equal(frame.payload.len, 0);
        assert_int_equal(frame_reader_next(&reader, &frame, NULL), 0);
        frame_reader_fini(&reader);
    }
    buf_fini(&bytes);
}

static void
test_outcome(void **state)
{
    struct frame_outcome outcome = {
        .code = ERR_NETWORK,
        .is_leaving = true,
        .retry_after_ms = 1500,
        .started_us = INT64_C(1) << 40,
        .runtime_us = 12,
        .peak_rss_kib = 4096,
        .message = STR("no route"),
        .sends = STR("{\"id\":1}"),
        .result = STR("details"),
    };
    char head[FRAME_HEADER_BYTES + FRAME_OUTCOME_HEAD_BYTES];
    struct frame_outcome got;
    struct frame_reader reader;
    struct frame frame;

    (void)state;
    frame_encode_outcome_head(&outcome, 9, head);
    frame_reader_init(&reader, 1000);
    feed(&reader, (struct str){head, sizeof(head)});
    feed(&reader, outcome.message);
    feed(&reader, outcome.sends);
    feed(&reader, outcome.result);
    assert_int_equal(frame_reader_next(&reader, &frame, NULL), 1);
    assert_int_equal(frame.type, FRAME_OUTCOME);
    assert_int_equal(frame.serial, 9);
    assert_int_equal(frame_decode_outcome(frame.payload, &got, NULL), 0);
    assert_int_equal(got.code, ERR_NETWORK);
    assert_true(got.is_leaving);
    assert_int_equal(got.retry_after_ms, 1500);
    assert_int_equal(got.started_us, INT64_C(1) << 40);
    assert_int_equal(got.runtime_us, 12);
    assert_int_equal(got.peak_rss_kib, 4096);
    assert_str_equal(got.message, "no route");
    assert_str_equal(got.sends, "{\"id\":1}");
    assert_str_equal(got.result, "details");
    frame_reader_fini(&reader);
}

static void
test_hostile_outcomes(void **state)
{
    static const struct {
        const char *what;
        size_t offset; /* of the byte that is changed in an outcome of zeros */
        char value;
        size_t n_bytes;
    } rows[] = {
        {"too short", 0, 0, FRAME_OUTCOME_HEAD_BYTES - 1},
        {"code", 2, 1, FRAME_OUTCOME_HEAD_BYTES},
        {"negative wait", 15, (char)0x80, FRAME_OUTCOME_HEAD_BYTES},
        {"negative start", 23, (char)0x80, FRAME_OUTCOME_HEAD_BYTES},
        {"negative runtime", 31, (char)0x80, FRAME_OUTCOME_HEAD_BYTES},
        {"negative memory", 39, (char)0x80, FRAME_OUTCOME_HEAD_BYTES},
        {"message beyond the end", 40, 1, FRAME_OUTCOME_HEAD_BYTES},
        {"message too long", 41, 3, 2000},
        {"sends beyond the end", 44, 1, FRAME_OUTCOME_HEAD_BYTES},
        {"sends far beyond the end", 47, (char)0xff, 2000},
    };
    static char bytes[2000];
    struct frame_outcome got = {.code = 77};

    (void)state;
    assert_int_equal(
        frame_decode_outcome((struct str){bytes, FRAME_OUTCOME_HEAD_BYTES}, &got, NULL), 0);
    assert_int_equal(got.code, 0);
    got.code = 77;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bytes[rows[i].offset] = rows[i].value;
        if (frame_decode_outcome((struct str){bytes, rows[i].n_bytes}, &got, NULL) != -ERR_INVALID)
            fail_msg("accepted: %s", rows[i].what);
        bytes[rows[i].offset] = 0;
    }
    assert_int_equal(got.code, 77); /* untouched */
}

static void
test_hostile_headers(void **state)
{
    static const struct {
        unsigned char header[FRAME_HEADER_BYTES];
        int rc;
    } rows[] = {
        {{101, 0, 0, 0, 1}, -ERR_TOO_LARGE},
        {{255, 255, 255, 255, 1}, -ERR_TOO_LARGE},
        {{0, 0, 0, 0, 0}, -ERR_INVALID},
        {{0, 0, 0, 0, 6}, -ERR_INVALID},
        {{0, 0, 0, 0, 1, 1}, -ERR_INVALID},
        {{100, 0, 0, 0, 4}, 0},
        {{100, 0, 0, 0, 5}, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct frame_reader reader;
        struct frame frame;

        frame_reader_init(&reader, 100);
        feed(&reader, (struct str){(const char *)rows[i].header, FRAME_HEADER_BYTES});
        assert_int_equal(frame_reader_next(&reader, &frame, NULL), rows[i].rc);
        frame_reader_fini(&reader);
    }
}

/* Memory follows the bytes that came, and goes back when a large frame is through. */
static void
test_reader_memory(void **state)
{
    static char bytes[4 << 20];
    struct frame_reader reader;
    struct buf header = BUF_INIT(100);
    struct frame frame;
    size_t n_room;

    (void)state;
    assert_int_equal(frame_append(&header, FRAME_OUTCOME, 1, STR_NULL, NULL), 0);
    header.ptr[3] = 3; /* now it announces 48 MiB */
    frame_reader_init(&reader, (size_t)64 << 20);
    feed(&reader, buf_str(&header));
    assert_int_equal(frame_reader_next(&reader, &frame, NULL), 0);
    assert_true(reader.bytes.cap <= (size_t)256 << 10);
    assert_non_null(frame_reader_space(&reader, &n_room));
    assert_in_range(n_room, 64 << 10, 1 << 20);
    frame_reader_fini(&reader);

    header.ptr[3] = 0;
    header.ptr[2] = 0x40; /* 4 MiB */
    feed(&reader, buf_str(&header));
    feed(&reader, (struct str){bytes, sizeof(bytes)});
    assert_int_equal(frame_reader_next(&reader, &frame, NULL), 1);
    assert_int_equal(frame.payload.len, sizeof(bytes));
    assert_non_null(frame_reader_space(&reader, &n_room));
    assert_true(reader.bytes.cap <= (size_t)256 << 10);
    frame_reader_fini(&reader);
    buf_fini(&header);
}

static void
test_append_is_all_or_nothing(void **state)
{
    struct buf out = BUF_INIT(40);

    (void)state;
    assert_int_equal(frame_append(&out, FRAME_FAILED, 1, STR("12345678"), NULL), 0);
    assert_int_equal(out.len, 24);
    assert_int_equal(frame_append(&out, FRAME_FAILED, 2, STR("1"), NULL), -ERR_TOO_LARGE);
    assert_int_equal(out.len, 24);
    assert_int_equal(frame_append(&out, FRAME_FAILED, 3, STR_NULL, NULL), 0);
    assert_int_equal(out.len, 40);
    buf_fini(&out);
}

static void
test_board(void **state)
{
    static struct board board;
    int64_t at_us = -1;
    int64_t current = 0;
    int64_t total = 0;
    uint64_t seen = 0;

    (void)state;
    board_queue(&board, 3);
    assert_false(board_has_started(&board, 3, &at_us));
    assert_true(board_start(&board, 3, 55));
    assert_false(board_revoke(&board, 3));
    assert_true(board_has_started(&board, 3, &at_us));
    assert_int_equal(at_us, 55);

    board_queue(&board, 4);
    assert_true(board_revoke(&board, 4));
    assert_false(board_start(&board, 4, 56));

    board_queue(&board, 5);
    assert_true(board_revoke(&board, 5));
    board_queue(&board, 5 + BOARD_SLOTS); /* the slot is taken again before the child saw it */
    assert_false(board_start(&board, 5, 57));
    assert_true(board_start(&board, 5 + BOARD_SLOTS, 58));

    assert_false(board_get_progress(&board, 3, &seen, &current, &total));
    board_set_progress(&board, 3, 10, 20);
    assert_false(board_get_progress(&board, 4, &seen, &current, &total));
    assert_true(board_get_progress(&board, 3, &seen, &current, &total));
    assert_true(current == 10 && total == 20);
    assert_false(board_get_progress(&board, 3, &seen, &current, &total)); /* nothing new */
}

int
main(void)
{
    const struct CMUnitTest rows[] = {
        cmocka_unit_test(test_request_in_every_cut),
        cmocka_unit_test(test_outcome),
        cmocka_unit_test(test_hostile_outcomes),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_reader_memory),
        cmocka_unit_test(test_append_is_all_or_nothing),
        cmocka_unit_test(test_board),
    };

    return cmocka_run_group_tests(rows, NULL, NULL);
}
