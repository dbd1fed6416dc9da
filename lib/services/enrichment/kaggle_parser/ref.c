/* "owner/slug" and its relatives: cut at slashes, check the characters, never decode anything. */

#include "lib/services/enrichment/kaggle_parser/ref.h"

#include <inttypes.h>

#include "base/utf8.h"
#include "lib/core/http_headers.h"

static bool
is_part(struct str part)
{
    bool has_name = false;

    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.ptr[i];
        bool is_name =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;

        if (!is_name && c != '-' && c != '_' && c != '.')
            return false;
        has_name |= is_name;
    }
    return has_name && utf8_is_valid(part);
}

static bool
is_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len > 0;
}

/* What may follow "owner/slug": nothing, "3", or "versions/3". */
static bool
is_version_tail(struct str tail)
{
    if (str_starts_with(tail, STR("versions/")))
        tail = str_slice(tail, sizeof("versions/") - 1, tail.len);
    return is_digits(tail);
}

int
kaggle_ref_parse(struct str text, struct kaggle_ref *out, struct error *err)
{
    struct str shown = utf8_cut(text, KAGGLE_REF_BYTES);
    struct str rest = text;
    struct str owner;
    struct str slug;
    size_t n_bytes;

    if (text.len > KAGGLE_REF_BYTES)
        return error_set(err, ERR_INVALID, "reference '%.*s...': longer than %zu bytes",
                         STR_ARG(shown), KAGGLE_REF_BYTES);
    if (!str_split(&rest, '/', &owner) || !str_split(&rest, '/', &slug))
        return error_set(err, ERR_INVALID, "reference '%.*s': expected owner/slug", STR_ARG(shown));
    if (!is_part(owner) || !is_part(slug))
        return error_set(err, ERR_INVALID,
                         "reference '%.*s': owner and slug are letters, digits, '-', '_' and '.'",
                         STR_ARG(shown));
    n_bytes = owner.len + 1 + slug.len;
    if (n_bytes < text.len && !is_version_tail(str_slice(text, n_bytes + 1, text.len)))
        return error_set(err, ERR_INVALID, "reference '%.*s': only a version may follow owner/slug",
                         STR_ARG(shown));
    *out = (struct kaggle_ref){.text = str_slice(text, 0, n_bytes), .owner = owner, .slug = slug};
    return 0;
}

struct str
kaggle_ref_url(const struct kaggle_ref *ref, struct arena *arena, bool *ok)
{
    struct str path = http_url_encode(arena, ref->text, STR("/"), ok);
    char *url;

    if (!*ok)
        return STR_NULL;
    url = arena_printf(arena, "https://www.kaggle.com/datasets/%.*s", STR_ARG(path));
    if (!url)
        *ok = false;
    return str_from_cstr(url);
}

struct str
kaggle_ref_placeholder(int64_t id, struct arena *arena, bool *ok)
{
    char *text = arena_printf(arena, "id:%" PRId64, id);

    if (!text)
        *ok = false;
    return str_from_cstr(text);
}

bool
kaggle_ref_is_placeholder(struct str external_id)
{
    return str_starts_with(external_id, STR("id:")) &&
           is_digits(str_slice(external_id, sizeof("id:") - 1, external_id.len));
}
