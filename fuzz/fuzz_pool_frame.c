/* What a child of the worker may send after a task has written over its memory:
 * celery/pool/frame.h.
 *
 * The first byte says in what pieces the rest arrives; however they are cut, the same frames come
 * out, each within its limits. */

#include <stdlib.h>
#include <string.h>

#include "celery/pool/frame.h"
#include "fuzz/fuzz.h"

#define MAX_PAYLOAD ((size_t)4096)

struct tally {
    size_t n_frames;
    uint64_t sum; /* over types, serials, lengths */
    int rc;
};

static void
insist(bool is_true)
{
    if (!is_true)
        abort();
}

static bool
is_within(struct str part, struct str whole)
{
    return part.len <= whole.len && part.ptr >= whole.ptr &&
           part.ptr + part.len <= whole.ptr + whole.len;
}

static void
check_frame(const struct frame *frame)
{
    struct frame_request request;
    struct frame_outcome outcome;

    insist(frame->payload.len <= MAX_PAYLOAD);
    if (frame_decode_request(frame->payload, &request, NULL) == 0)
        insist(is_within(request.payload, frame->payload));
    if (frame_decode_outcome(frame->payload, &outcome, NULL) == 0) {
        insist(is_within(outcome.message, frame->payload));
        insist(is_within(outcome.result, frame->payload));
        insist(outcome.message.len <= FRAME_MESSAGE_BYTES && outcome.code >= 0);
        insist(outcome.retry_after_ms >= 0 && outcome.started_us >= 0 && outcome.runtime_us >= 0);
    }
}

static struct tally
read_frames(struct str bytes, size_t n_piece)
{
    struct frame_reader reader;
    struct tally tally = {0};
    struct frame frame;

    frame_reader_init(&reader, MAX_PAYLOAD);
    while (bytes.len > 0 && tally.rc >= 0) {
        size_t n_room;
        char *space = frame_reader_space(&reader, &n_room);

        if (!space)
            break;
        n_room = n_room < n_piece ? n_room : n_piece;
        n_room = n_room < bytes.len ? n_room : bytes.len;
        (void)memcpy(space, bytes.ptr, n_room);
        frame_reader_commit(&reader, n_room);
        bytes = str_slice(bytes, n_room, bytes.len);
        while ((tally.rc = frame_reader_next(&reader, &frame, NULL)) > 0) {
            check_frame(&frame);
            tally.n_frames++;
            tally.sum = tally.sum * 31 + (uint64_t)frame.type + frame.serial + frame.payload.len;
        }
    }
    frame_reader_fini(&reader);
    return tally;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally whole, pieces;
    struct str bytes;

    if (size < 1 || size > 65536)
        return 0;
    bytes = (struct str){(const char *)data + 1, size - 1};
    whole = read_frames(bytes, SIZE_MAX);
    pieces = read_frames(bytes, 1U + data[0]);
    insist(whole.n_frames == pieces.n_frames && whole.sum == pieces.sum && whole.rc == pieces.rc);
    return 0;
}
