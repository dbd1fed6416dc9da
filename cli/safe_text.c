/* Code point by code point: what is printable passes, the rest is shown as its bytes. */

#include "cli/safe_text.h"

#include "base/utf8.h"

static bool
is_printable(struct str rest, size_t n_bytes, uint32_t code_point)
{
    if (code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F))
        return false;
    return utf8_is_valid(str_slice(rest, 0, n_bytes)); /* U+FFFD also stands for what is not */
}

void
cli_print_safe(struct str text, FILE *out)
{
    while (text.len > 0) {
        size_t n_bytes;
        uint32_t code_point = utf8_decode(text, &n_bytes);

        if (is_printable(text, n_bytes, code_point)) {
            (void)fwrite(text.ptr, 1, n_bytes, out);
        } else {
            for (size_t i = 0; i < n_bytes; i++)
                (void)fprintf(out, "\\x%02x", (unsigned char)text.ptr[i]);
        }
        text = str_slice(text, n_bytes, text.len);
    }
}

void
cli_print_safe_lines(struct str text, const char *indent, FILE *out)
{
    struct str line;

    while (str_split(&text, '\n', &line)) {
        (void)fputs(indent, out);
        cli_print_safe(line, out);
        (void)fputc('\n', out);
    }
}
