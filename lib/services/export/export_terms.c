/* Three tables.  SPDX ids: the SPDX licence list 3.25.  Media types: the IANA registry. */

#include "lib/services/export/export_terms.h"

/* Sources write SPDX ids in any case: these are found as they are. */
static const struct str spdx_ids[] = {
    STR_INIT("AFL-3.0"),
    STR_INIT("AGPL-3.0"),
    STR_INIT("Apache-2.0"),
    STR_INIT("Artistic-2.0"),
    STR_INIT("BSD-2-Clause"),
    STR_INIT("BSD-3-Clause"),
    STR_INIT("BSD-3-Clause-Clear"),
    STR_INIT("BSL-1.0"),
    STR_INIT("C-UDA-1.0"),
    STR_INIT("CC-BY-1.0"),
    STR_INIT("CC-BY-2.0"),
    STR_INIT("CC-BY-2.5"),
    STR_INIT("CC-BY-3.0"),
    STR_INIT("CC-BY-3.0-IGO"),
    STR_INIT("CC-BY-4.0"),
    STR_INIT("CC-BY-NC-2.0"),
    STR_INIT("CC-BY-NC-3.0"),
    STR_INIT("CC-BY-NC-4.0"),
    STR_INIT("CC-BY-NC-ND-3.0"),
    STR_INIT("CC-BY-NC-ND-4.0"),
    STR_INIT("CC-BY-NC-SA-2.0"),
    STR_INIT("CC-BY-NC-SA-3.0"),
    STR_INIT("CC-BY-NC-SA-3.0-IGO"),
    STR_INIT("CC-BY-NC-SA-4.0"),
    STR_INIT("CC-BY-ND-3.0"),
    STR_INIT("CC-BY-ND-4.0"),
    STR_INIT("CC-BY-SA-2.0"),
    STR_INIT("CC-BY-SA-3.0"),
    STR_INIT("CC-BY-SA-4.0"),
    STR_INIT("CC0-1.0"),
    STR_INIT("CDLA-Permissive-1.0"),
    STR_INIT("CDLA-Permissive-2.0"),
    STR_INIT("CDLA-Sharing-1.0"),
    STR_INIT("ECL-2.0"),
    STR_INIT("EPL-1.0"),
    STR_INIT("EPL-2.0"),
    STR_INIT("EUPL-1.1"),
    STR_INIT("EUPL-1.2"),
    STR_INIT("GFDL-1.3"),
    STR_INIT("GPL-2.0"),
    STR_INIT("GPL-3.0"),
    STR_INIT("ISC"),
    STR_INIT("LGPL-2.1"),
    STR_INIT("LGPL-3.0"),
    STR_INIT("LPPL-1.3c"),
    STR_INIT("MIT"),
    STR_INIT("MPL-2.0"),
    STR_INIT("MS-PL"),
    STR_INIT("NCSA"),
    STR_INIT("ODbL-1.0"),
    STR_INIT("ODC-By-1.0"),
    STR_INIT("OFL-1.1"),
    STR_INIT("OSL-3.0"),
    STR_INIT("PDDL-1.0"),
    STR_INIT("PostgreSQL"),
    STR_INIT("Unlicense"),
    STR_INIT("WTFPL"),
    STR_INIT("Zlib"),
    STR_INIT("etalab-2.0"),
};

struct term {
    struct str name;
    struct str value;
};

/* Names of the sources that differ from the SPDX id; each has existed in one version only. */
static const struct term aliases[] = {
    {STR_INIT("fdl-1.3"), STR_INIT("GFDL-1.3")},  {STR_INIT("odbl"), STR_INIT("ODbL-1.0")},
    {STR_INIT("odc-by"), STR_INIT("ODC-By-1.0")}, {STR_INIT("pddl"), STR_INIT("PDDL-1.0")},
    {STR_INIT("c-uda"), STR_INIT("C-UDA-1.0")},
};

static const struct term media_types[] = {
    {STR_INIT("arrow"), STR_INIT("application/vnd.apache.arrow.file")},
    {STR_INIT("csv"), STR_INIT("text/csv")},
    {STR_INIT("geojson"), STR_INIT("application/geo+json")},
    {STR_INIT("gif"), STR_INIT("image/gif")},
    {STR_INIT("gz"), STR_INIT("application/gzip")},
    {STR_INIT("html"), STR_INIT("text/html")},
    {STR_INIT("jpeg"), STR_INIT("image/jpeg")},
    {STR_INIT("jpg"), STR_INIT("image/jpeg")},
    {STR_INIT("json"), STR_INIT("application/json")},
    {STR_INIT("mp3"), STR_INIT("audio/mpeg")},
    {STR_INIT("mp4"), STR_INIT("video/mp4")},
    {STR_INIT("parquet"), STR_INIT("application/vnd.apache.parquet")},
    {STR_INIT("pdf"), STR_INIT("application/pdf")},
    {STR_INIT("png"), STR_INIT("image/png")},
    {STR_INIT("sqlite"), STR_INIT("application/vnd.sqlite3")},
    {STR_INIT("tiff"), STR_INIT("image/tiff")},
    {STR_INIT("tsv"), STR_INIT("text/tab-separated-values")},
    {STR_INIT("txt"), STR_INIT("text/plain")},
    {STR_INIT("wav"), STR_INIT("audio/vnd.wave")},
    {STR_INIT("xls"), STR_INIT("application/vnd.ms-excel")},
    {STR_INIT("xlsx"),
     STR_INIT("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")},
    {STR_INIT("xml"), STR_INIT("application/xml")},
    {STR_INIT("zip"), STR_INIT("application/zip")},
};

static bool
is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* RFC 3986 section 2: unreserved, gen-delims without brackets, sub-delims. */
static bool
is_address_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("-._~:/?#@!$&'()*+,;=", c));
}

/* The first byte tells: no host, a port alone, an empty user and NUL are none. */
static bool
has_host(struct str rest)
{
    return rest.len && strchr("/?#@: ", rest.ptr[0]) == NULL;
}

bool
export_append_address(struct buf *out, struct str text)
{
    struct str trimmed = str_trim(text);
    size_t n_scheme = 0;
    bool has_fragment = false;

    if (str_equal_ignore_case(str_slice(trimmed, 0, 8), STR("https://")))
        n_scheme = 8;
    else if (str_equal_ignore_case(str_slice(trimmed, 0, 7), STR("http://")))
        n_scheme = 7;
    if (n_scheme == 0 || !has_host(str_slice(trimmed, n_scheme, trimmed.len)))
        return false;
    for (size_t i = 0; i < trimmed.len; i++) {
        char c = trimmed.ptr[i];
        bool is_escape = c == '%' && i + 2 < trimmed.len && is_hex(trimmed.ptr[i + 1]) &&
                         is_hex(trimmed.ptr[i + 2]);

        if (is_escape || (is_address_byte(c) && !(c == '#' && has_fragment)))
            buf_append_char(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
        has_fragment = has_fragment || c == '#';
    }
    return true;
}

static struct str
find_term(const struct term *terms, size_t n_terms, struct str name)
{
    for (size_t i = 0; i < n_terms; i++)
        if (str_equal_ignore_case(terms[i].name, name))
            return terms[i].value;
    return STR_NULL;
}

bool
export_append_license(struct buf *out, struct str license)
{
    struct str name = str_trim(license);
    struct str id = find_term(aliases, COUNT_OF(aliases), name);

    for (size_t i = 0; i < COUNT_OF(spdx_ids) && !id.len; i++)
        if (str_equal_ignore_case(spdx_ids[i], name))
            id = spdx_ids[i];
    if (!id.len)
        return export_append_address(out, name);
    buf_append(out, STR("https://spdx.org/licenses/"));
    buf_append(out, id);
    return true;
}

struct str
export_media_type(struct str file_format)
{
    return find_term(media_types, COUNT_OF(media_types), file_format);
}
