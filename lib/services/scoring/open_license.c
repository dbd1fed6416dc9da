/* Names are compared without case, with blanks and underscores as dashes, up to a version. */

#include "lib/services/scoring/open_license.h"

#define NAME_BYTES ((size_t)80)

static const struct str empty_names[] = {
    STR_INIT("unknown"), STR_INIT("other"), STR_INIT("none"), STR_INIT("n/a"),
    STR_INIT("na"),      STR_INIT("null"),  STR_INIT("-"),    STR_INIT("not-specified"),
};

static const struct str open_names[] = {
    STR_INIT("cc0"),        STR_INIT("cc-by"),         STR_INIT("cc-by-sa"),
    STR_INIT("cc-zero"),    STR_INIT("odbl"),          STR_INIT("odc-odbl"),
    STR_INIT("odc-by"),     STR_INIT("odc-pddl"),      STR_INIT("pddl"),
    STR_INIT("dbcl"),       STR_INIT("cdla"),          STR_INIT("mit"),
    STR_INIT("apache"),     STR_INIT("bsd"),           STR_INIT("gpl"),
    STR_INIT("lgpl"),       STR_INIT("agpl"),          STR_INIT("fdl"),
    STR_INIT("gfdl"),       STR_INIT("mpl"),           STR_INIT("isc"),
    STR_INIT("afl"),        STR_INIT("artistic"),      STR_INIT("ecl"),
    STR_INIT("epl"),        STR_INIT("eupl"),          STR_INIT("osl"),
    STR_INIT("bsl"),        STR_INIT("ncsa"),          STR_INIT("zlib"),
    STR_INIT("wtfpl"),      STR_INIT("unlicense"),     STR_INIT("ms-pl"),
    STR_INIT("postgresql"), STR_INIT("public-domain"), STR_INIT("us-government-works"),
    STR_INIT("etalab"),     STR_INIT("ogl"),           STR_INIT("eu-odp-legal-notice"),
};

/* The beginning of the name in its usual form. */
static struct str
normalize(struct str license, char out[NAME_BYTES])
{
    struct str text = str_slice(str_trim(license), 0, NAME_BYTES);

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        out[i] = c == ' ' || c == '_' ? '-' : c;
    }
    return (struct str){out, text.len};
}

/* Is the word at its end there?  "bsd-3-clause" is bsd, "mitre" is not mit. */
static bool
is_word_end(struct str rest)
{
    return rest.len == 0 || rest.ptr[0] < 'a' || rest.ptr[0] > 'z';
}

bool
license_is_known(struct str license)
{
    char text[NAME_BYTES];
    struct str name = normalize(license, text);

    for (size_t i = 0; i < COUNT_OF(empty_names); i++) {
        if (str_equal(name, empty_names[i]))
            return false;
    }
    return name.len > 0;
}

bool
license_is_open(struct str license)
{
    char text[NAME_BYTES];
    struct str name = normalize(license, text);

    if (str_find(name, STR("-nc")) < name.len || str_find(name, STR("-nd")) < name.len ||
        str_find(name, STR("noncommercial")) < name.len)
        return false;
    for (size_t i = 0; i < COUNT_OF(open_names); i++) {
        if (str_starts_with(name, open_names[i]) &&
            is_word_end(str_slice(name, open_names[i].len, name.len)))
            return true;
    }
    return false;
}
