/* Every reference goes through one parser, the stored ones too: what comes back from the database
 * is no more trusted than what comes from the network. */

#include "lib/services/enrichment/hf_parser/listing.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/utf8.h"

#define PATH "/api/datasets"
#define FIELDS                                                                                     \
    "&expand=author&expand=cardData&expand=citation&expand=createdAt&expand=description"           \
    "&expand=disabled&expand=downloads&expand=downloadsAllTime&expand=gated&expand=lastModified"   \
    "&expand=likes&expand=mainSize&expand=paperswithcode_id&expand=private&expand=sha&expand=tags" \
    "&expand=trendingScore"

struct str
hf_listing_first(enum hf_order order)
{
    return order == HF_BY_CREATED ? STR(PATH "?sort=createdAt" FIELDS)
                                  : STR(PATH "?sort=lastModified" FIELDS);
}

static int
refuse(struct str uri, const char *what, struct error *err)
{
    return error_set(err, ERR_INVALID, "address of a page %s: '%.*s'", what,
                     STR_ARG(utf8_cut(uri, 200)));
}

/* Check a URI and find its query, without "?" and fragment. */
static int
find_query(struct str uri, struct str *query, struct error *err)
{
    struct str rest = str_slice(uri, 0, str_find_char(uri, '#'));
    size_t scheme_end = str_find(rest, STR("://"));
    size_t mark = str_find_char(rest, '?');

    if (uri.len > HF_REFERENCE_BYTES)
        return refuse(uri, "is too long", err);
    for (size_t i = 0; i < uri.len; i++) {
        unsigned char c = (unsigned char)uri.ptr[i];

        if (c <= ' ' || c >= 0x7F || c == '"' || c == '<' || c == '>' || c == '\\')
            return refuse(uri, "holds a byte that no URI holds", err);
    }
    if (scheme_end < mark)
        rest = str_slice(rest, scheme_end + 3, rest.len);
    mark = str_find_char(rest, '?');
    if (mark == rest.len || !str_ends_with(str_slice(rest, 0, mark), STR(PATH)))
        return refuse(uri, "does not lead to the listing of datasets", err);
    *query = str_slice(rest, mark + 1, rest.len);
    return 0;
}

/* Append the parameters but for `limit`. */
static void
append_query(struct str query, char before, struct buf *out)
{
    struct str parameter;

    while (str_split(&query, '&', &parameter)) {
        if (parameter.len == 0 || str_starts_with(parameter, STR("limit=")))
            continue;
        buf_append_char(out, before);
        buf_append(out, parameter);
        before = '&';
    }
}

static int
take_text(const struct buf *buf, struct arena *arena, struct str *out, struct error *err)
{
    bool ok = true;
    int rc = buf_status(buf, err);
    struct str text;

    if (rc < 0)
        return rc;
    text = arena_dup(arena, buf_str(buf), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for the address of a page");
    *out = text;
    return 0;
}

int
hf_listing_parse_link(struct str uri, struct arena *arena, struct str *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(2 * HF_REFERENCE_BYTES);
    struct str query;
    int rc = find_query(uri, &query, err);

    if (rc < 0)
        return rc;
    buf_append(&buf, STR(PATH));
    append_query(query, '?', &buf);
    if (buf.len == sizeof(PATH) - 1)
        return refuse(uri, "names no page", err);
    return take_text(&buf, arena, out, err);
}

int
hf_listing_url(struct str endpoint, struct str reference, int64_t n_rows, struct arena *arena,
               struct str *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(2 * HF_REFERENCE_BYTES);
    struct str query;
    int rc = find_query(reference, &query, err);

    if (rc < 0)
        return rc;
    buf_append(&buf, endpoint);
    buf_printf(&buf, PATH "?limit=%" PRId64, n_rows);
    append_query(query, '&', &buf);
    return take_text(&buf, arena, out, err);
}
