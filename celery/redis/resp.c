/* See resp.h for the bytes.  The scanner is a stack of counters: a value is taken off the innermost
 * array's count; an array that reaches zero is itself a value of the one around it. */

#include "celery/redis/resp.h"

#include "base/number.h"

void
resp_scanner_init(struct resp_scanner *scanner, size_t max_bytes)
{
    scanner->max_bytes = max_bytes;
    scanner->at = 0;
    scanner->line_at = 0;
    scanner->body_end = 0;
    scanner->n_values = 1;
    scanner->depth = 0;
}

static int
refuse_size(const struct resp_scanner *scanner, struct error *err)
{
    return error_set(err, ERR_TOO_LARGE, "a reply has more than %zu bytes", scanner->max_bytes);
}

/* The number behind a type byte; lengths may be -1 for nil. */
static int
parse_length(struct str line, int64_t *out, struct error *err)
{
    int64_t value;
    struct str digits = str_slice(line, 1, line.len);

    if (digits.len == 0 || digits.ptr[0] == '+' || number_parse_i64(digits, &value, NULL) < 0 ||
        value < -1)
        return error_set(err, ERR_INVALID, "a reply's length is not a number");
    *out = value;
    return 0;
}

static int
open_bulk(struct resp_scanner *scanner, int64_t len, struct error *err)
{
    if ((uint64_t)len > scanner->max_bytes || scanner->max_bytes - (size_t)len < scanner->at)
        return refuse_size(scanner, err);
    scanner->body_end = scanner->at + (size_t)len;
    return 0;
}

static int
open_array(struct resp_scanner *scanner, int64_t n_items, struct error *err)
{
    if (scanner->depth == RESP_MAX_DEPTH)
        return error_set(err, ERR_TOO_LARGE, "a reply nests deeper than %d levels", RESP_MAX_DEPTH);
    if ((uint64_t)n_items > RESP_MAX_VALUES - scanner->n_values)
        return error_set(err, ERR_TOO_LARGE, "a reply has more than %zu values", RESP_MAX_VALUES);
    scanner->n_values += (size_t)n_items;
    scanner->left[scanner->depth++] = (size_t)n_items;
    return 0;
}

/* One value is whole; so are the arrays that waited for it alone.  True: so is the reply. */
static bool
close_value(struct resp_scanner *scanner)
{
    while (scanner->depth > 0 && --scanner->left[scanner->depth - 1] == 0)
        scanner->depth--;
    return scanner->depth == 0;
}

/* Judge a line without its end.  1: it is a whole value; 0: it opens one. */
static int
judge_line(struct resp_scanner *scanner, struct str line, struct error *err)
{
    int64_t number;
    int rc;

    switch (line.len > 0 ? line.ptr[0] : '\0') {
    case '+':
    case '-':
        return 1;
    case ':':
        if (number_parse_i64(str_slice(line, 1, line.len), &number, NULL) < 0)
            return error_set(err, ERR_INVALID, "an integer reply is not a number");
        return 1;
    case '$':
        rc = parse_length(line, &number, err);
        if (rc < 0 || number < 0)
            return rc < 0 ? rc : 1;
        return open_bulk(scanner, number, err);
    case '*':
        rc = parse_length(line, &number, err);
        if (rc < 0 || number <= 0)
            return rc < 0 ? rc : 1;
        return open_array(scanner, number, err);
    default:
        return error_set(err, ERR_INVALID, "a reply starts with byte 0x%02x: this is no Redis",
                         line.len > 0 ? (unsigned)(unsigned char)line.ptr[0] : 0U);
    }
}

/* 1: the line's value is whole; 0: it opens one; 2: the line's end has not come. */
static int
read_line(struct resp_scanner *scanner, struct str bytes, struct error *err)
{
    const char *newline = scanner->at < bytes.len
                              ? memchr(bytes.ptr + scanner->at, '\n', bytes.len - scanner->at)
                              : NULL;
    size_t end = newline ? (size_t)(newline - bytes.ptr) : bytes.len;
    struct str line = str_slice(bytes, scanner->line_at, end);

    if (line.len > RESP_MAX_LINE_BYTES)
        return error_set(err, ERR_INVALID, "a reply's line has more than %zu bytes",
                         RESP_MAX_LINE_BYTES);
    scanner->at = end;
    if (!newline)
        return 2;
    if (line.len == 0 || line.ptr[line.len - 1] != '\r')
        return error_set(err, ERR_INVALID, "a reply's line does not end with CR LF");
    scanner->at = end + 1;
    scanner->line_at = end + 1;
    return judge_line(scanner, str_slice(line, 0, line.len - 1), err);
}

/* As read_line, for the text of a bulk. */
static int
read_body(struct resp_scanner *scanner, struct str bytes, struct error *err)
{
    size_t end = scanner->body_end;

    if (bytes.len < end + 2)
        return 2;
    if (bytes.ptr[end] != '\r' || bytes.ptr[end + 1] != '\n')
        return error_set(err, ERR_INVALID, "a reply's text is longer than announced");
    scanner->at = end + 2;
    scanner->line_at = end + 2;
    scanner->body_end = 0;
    return 1;
}

int
resp_scan(struct resp_scanner *scanner, struct str bytes, size_t *n_bytes, struct error *err)
{
    for (;;) {
        int rc =
            scanner->body_end ? read_body(scanner, bytes, err) : read_line(scanner, bytes, err);

        if (rc < 0)
            return rc;
        if (scanner->at > scanner->max_bytes)
            return refuse_size(scanner, err);
        if (rc == 2)
            return 0;
        if (rc == 1 && close_value(scanner)) {
            *n_bytes = scanner->at;
            resp_scanner_init(scanner, scanner->max_bytes);
            return 1;
        }
    }
}

/* What is left of the reply while it is built. */
struct builder {
    struct str rest;
    struct arena *arena;
};

static struct str
take_line(struct builder *builder)
{
    size_t end = str_find_char(builder->rest, '\n');
    struct str line = str_slice(builder->rest, 0, end - 1);

    builder->rest = str_slice(builder->rest, end + 1, builder->rest.len);
    return line;
}

static bool build_value(struct builder *builder, struct redis_value *out);

static bool
build_array(struct builder *builder, size_t n_items, struct redis_value *out)
{
    struct redis_value *items = arena_calloc(builder->arena, n_items, sizeof(*items));

    if (!items)
        return false;
    out->kind = REDIS_ARRAY;
    out->items = items;
    out->n_items = n_items;
    for (size_t i = 0; i < n_items; i++)
        if (!build_value(builder, &items[i]))
            return false;
    return true;
}

/* False: no memory.  Recursion ends at RESP_MAX_DEPTH. */
static bool
build_value(struct builder *builder, struct redis_value *out)
{
    struct str line = take_line(builder);
    struct str text = str_slice(line, 1, line.len);
    int64_t number = 0;

    if (line.ptr[0] == '+' || line.ptr[0] == '-') {
        out->kind = line.ptr[0] == '+' ? REDIS_STATUS : REDIS_ERROR;
        out->text = text;
        return true;
    }
    error_ignore(number_parse_i64(text, &number, NULL)); /* resp_scan has seen that it is one */
    if (line.ptr[0] == ':') {
        out->kind = REDIS_INTEGER;
        out->integer = number;
    } else if (number < 0) {
        out->kind = REDIS_NIL;
    } else if (line.ptr[0] == '$') {
        out->kind = REDIS_BULK;
        out->text = str_slice(builder->rest, 0, (size_t)number);
        builder->rest = str_slice(builder->rest, (size_t)number + 2, builder->rest.len);
    } else {
        return build_array(builder, (size_t)number, out);
    }
    return true;
}

int
resp_build(struct str bytes, struct arena *arena, const struct redis_value **out, size_t *n_bytes,
           struct error *err)
{
    struct builder builder = {.rest = bytes, .arena = arena};
    struct redis_value *value = arena_calloc(arena, 1, sizeof(*value));

    if (!value || !build_value(&builder, value))
        return error_set(err, ERR_NOMEM, "out of memory for a reply of %zu bytes", bytes.len);
    *n_bytes = bytes.len - builder.rest.len;
    *out = value;
    return 0;
}

/* "$12\r\n" at `at`; gives where it ends. */
static char *
format_head(char *at, char type, size_t number)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    *at++ = type;
    while (n > 0)
        *at++ = digits[--n];
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

#define MAX_HEAD_BYTES ((size_t)23)

int
resp_encode(const struct str *words, size_t n_words, struct buf *out, struct error *err)
{
    size_t n_bytes = MAX_HEAD_BYTES;
    char *start;
    char *at;

    for (size_t i = 0; i < n_words; i++)
        if (__builtin_add_overflow(n_bytes, words[i].len + MAX_HEAD_BYTES + 2, &n_bytes))
            return error_set(err, ERR_TOO_LARGE, "a command is too long");
    start = buf_reserve(out, n_bytes);
    if (!start)
        return buf_status(out, err);
    at = format_head(start, '*', n_words);
    for (size_t i = 0; i < n_words; i++) {
        at = format_head(at, '$', words[i].len);
        if (words[i].len > 0)
            (void)memcpy(at, words[i].ptr, words[i].len);
        at += words[i].len;
        *at++ = '\r';
        *at++ = '\n';
    }
    buf_commit(out, (size_t)(at - start));
    return 0;
}
