/* Records: see record.h for the bytes. */

#include "celery/history/record.h"

#include <endian.h>
#include <string.h>

#define ABSENT UINT32_MAX

enum {
#define COUNT_ONE(member) +1
    N_TEXTS = 0 HISTORY_TEXTS(COUNT_ONE),
    N_NUMBERS = 0 HISTORY_NUMBERS(COUNT_ONE),
#undef COUNT_ONE
};

#define HEAD_BYTES (4 + 8 * (size_t)N_NUMBERS + 4 * (size_t)N_TEXTS)

static void
put_u32(char *out, size_t value)
{
    uint32_t number = htole32((uint32_t)value);

    (void)memcpy(out, &number, sizeof(number));
}

static uint32_t
get_u32(const char *bytes)
{
    uint32_t number;

    (void)memcpy(&number, bytes, sizeof(number));
    return le32toh(number);
}

static int64_t
get_i64(const char *bytes)
{
    uint64_t number;

    (void)memcpy(&number, bytes, sizeof(number));
    return (int64_t)le64toh(number);
}

void
history_record_encode(const struct history_record *record, struct buf *out)
{
    const struct str texts[N_TEXTS] = {
#define TEXT_OF(member) record->member,
        HISTORY_TEXTS(TEXT_OF)
#undef TEXT_OF
    };
    const int64_t numbers[N_NUMBERS] = {
#define NUMBER_OF(member) record->member,
        HISTORY_NUMBERS(NUMBER_OF)
#undef NUMBER_OF
    };
    char head[HEAD_BYTES];
    char *at = head + 4;
    size_t n_bytes = HEAD_BYTES;

    for (size_t i = 0; i < N_NUMBERS; i++, at += 8) {
        uint64_t number = htole64((uint64_t)numbers[i]);

        (void)memcpy(at, &number, sizeof(number));
    }
    for (size_t i = 0; i < N_TEXTS; i++, at += 4) {
        put_u32(at, texts[i].ptr ? texts[i].len : ABSENT);
        n_bytes += texts[i].len;
    }
    put_u32(head, n_bytes);
    if (!buf_reserve(out, n_bytes)) /* all of it, or nothing */
        return;
    buf_append_bytes(out, head, sizeof(head));
    for (size_t i = 0; i < N_TEXTS; i++)
        buf_append(out, texts[i]);
}

static int
read_texts(struct str bytes, struct str texts[N_TEXTS], struct error *err)
{
    const char *lengths = bytes.ptr + 4 + 8 * (size_t)N_NUMBERS;
    size_t at = HEAD_BYTES;

    for (size_t i = 0; i < N_TEXTS; i++) {
        uint32_t n = get_u32(lengths + 4 * i);

        texts[i] = STR_NULL;
        if (n == ABSENT)
            continue;
        if (n > bytes.len - at)
            return error_set(err, ERR_INVALID, "a text of %u bytes is longer than its record", n);
        texts[i] = (struct str){bytes.ptr + at, n};
        at += n;
    }
    if (at != bytes.len)
        return error_set(err, ERR_INVALID, "a record has %zu bytes too many", bytes.len - at);
    return 0;
}

int
history_record_decode(struct str bytes, struct history_record *out, size_t *n_taken,
                      struct error *err)
{
    struct str texts[N_TEXTS];
    int64_t numbers[N_NUMBERS];
    size_t n_bytes;
    int rc;

    if (bytes.len < 4)
        return 0;
    n_bytes = get_u32(bytes.ptr);
    if (n_bytes < HEAD_BYTES || n_bytes > HISTORY_RECORD_BYTES)
        return error_set(err, ERR_INVALID, "a record of %zu bytes is impossible", n_bytes);
    if (bytes.len < n_bytes)
        return 0;
    rc = read_texts(str_slice(bytes, 0, n_bytes), texts, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < N_NUMBERS; i++)
        numbers[i] = get_i64(bytes.ptr + 4 + 8 * i);
    {
        size_t text_idx = 0;
        size_t number_idx = 0;

#define TAKE_TEXT(member) out->member = texts[text_idx++];
        HISTORY_TEXTS(TAKE_TEXT)
#undef TAKE_TEXT
#define TAKE_NUMBER(member) out->member = numbers[number_idx++];
        HISTORY_NUMBERS(TAKE_NUMBER)
#undef TAKE_NUMBER
    }
    *n_taken = n_bytes;
    return 1;
}
