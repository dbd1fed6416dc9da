/* Tables of HTML names.  Source: WHATWG HTML, "Index of elements" and "Named character references";
 * of the latter only those that people type. */

#include "lib/services/enrichment/kaggle_parser/markup_names.h"

#define NAME_BYTES ((size_t)12)

struct element {
    struct str name;
    enum markup_kind kind;
};

struct entity {
    struct str name;
    uint32_t code_point;
};

/* clang-format off */
#define INLINE(name) {STR_INIT(name), MARKUP_INLINE}
#define LINE(name)   {STR_INIT(name), MARKUP_LINE}

static const struct element elements[] = {
    {STR_INIT("script"), MARKUP_RAW}, {STR_INIT("style"), MARKUP_RAW},
    {STR_INIT("iframe"), MARKUP_RAW},
    {STR_INIT("td"), MARKUP_CELL}, {STR_INIT("th"), MARKUP_CELL},

    LINE("p"), LINE("br"), LINE("div"), LINE("li"), LINE("ul"), LINE("ol"), LINE("tr"),
    LINE("h1"), LINE("h2"), LINE("h3"), LINE("h4"), LINE("h5"), LINE("h6"), LINE("hr"),
    LINE("table"), LINE("thead"), LINE("tbody"), LINE("tfoot"), LINE("caption"), LINE("pre"),
    LINE("blockquote"), LINE("center"), LINE("section"), LINE("article"), LINE("header"),
    LINE("footer"), LINE("main"), LINE("nav"), LINE("aside"), LINE("figure"), LINE("figcaption"),
    LINE("dl"), LINE("dt"), LINE("dd"), LINE("details"), LINE("summary"), LINE("form"),
    LINE("fieldset"), LINE("address"), LINE("html"), LINE("head"), LINE("body"), LINE("!doctype"),

    INLINE("a"), INLINE("abbr"), INLINE("audio"), INLINE("b"), INLINE("bdi"), INLINE("bdo"),
    INLINE("big"), INLINE("button"), INLINE("canvas"), INLINE("cite"), INLINE("code"),
    INLINE("col"), INLINE("colgroup"), INLINE("del"), INLINE("dfn"), INLINE("em"),
    INLINE("embed"), INLINE("font"), INLINE("i"), INLINE("img"), INLINE("input"), INLINE("ins"),
    INLINE("kbd"), INLINE("label"), INLINE("link"), INLINE("mark"), INLINE("meta"),
    INLINE("noscript"), INLINE("object"), INLINE("param"), INLINE("picture"), INLINE("q"),
    INLINE("s"), INLINE("samp"), INLINE("select"), INLINE("small"), INLINE("source"),
    INLINE("span"), INLINE("strike"), INLINE("strong"), INLINE("sub"), INLINE("sup"),
    INLINE("svg"), INLINE("textarea"), INLINE("time"), INLINE("title"), INLINE("tt"),
    INLINE("u"), INLINE("video"), INLINE("wbr"),
};

static const struct entity entities[] = {
    {STR_INIT("amp"), '&'}, {STR_INIT("lt"), '<'}, {STR_INIT("gt"), '>'},
    {STR_INIT("quot"), '"'}, {STR_INIT("apos"), '\''}, {STR_INIT("nbsp"), ' '},
    {STR_INIT("ensp"), ' '}, {STR_INIT("emsp"), ' '}, {STR_INIT("thinsp"), ' '},
    {STR_INIT("ndash"), 0x2013}, {STR_INIT("mdash"), 0x2014}, {STR_INIT("hellip"), 0x2026},
    {STR_INIT("lsquo"), 0x2018}, {STR_INIT("rsquo"), 0x2019}, {STR_INIT("ldquo"), 0x201C},
    {STR_INIT("rdquo"), 0x201D}, {STR_INIT("laquo"), 0xAB}, {STR_INIT("raquo"), 0xBB},
    {STR_INIT("bull"), 0x2022}, {STR_INIT("middot"), 0xB7}, {STR_INIT("copy"), 0xA9},
    {STR_INIT("reg"), 0xAE}, {STR_INIT("trade"), 0x2122}, {STR_INIT("deg"), 0xB0},
    {STR_INIT("plusmn"), 0xB1}, {STR_INIT("times"), 0xD7}, {STR_INIT("divide"), 0xF7},
    {STR_INIT("micro"), 0xB5}, {STR_INIT("euro"), 0x20AC}, {STR_INIT("pound"), 0xA3},
    {STR_INIT("yen"), 0xA5}, {STR_INIT("cent"), 0xA2}, {STR_INIT("sect"), 0xA7},
    {STR_INIT("para"), 0xB6}, {STR_INIT("le"), 0x2264}, {STR_INIT("ge"), 0x2265},
    {STR_INIT("ne"), 0x2260}, {STR_INIT("rarr"), 0x2192}, {STR_INIT("larr"), 0x2190},
    {STR_INIT("frac12"), 0xBD}, {STR_INIT("frac14"), 0xBC}, {STR_INIT("sup2"), 0xB2},
    {STR_INIT("sup3"), 0xB3}, {STR_INIT("aacute"), 0xE1}, {STR_INIT("agrave"), 0xE0},
    {STR_INIT("acirc"), 0xE2}, {STR_INIT("atilde"), 0xE3}, {STR_INIT("auml"), 0xE4},
    {STR_INIT("ccedil"), 0xE7}, {STR_INIT("eacute"), 0xE9}, {STR_INIT("egrave"), 0xE8},
    {STR_INIT("ecirc"), 0xEA}, {STR_INIT("iacute"), 0xED}, {STR_INIT("ntilde"), 0xF1},
    {STR_INIT("oacute"), 0xF3}, {STR_INIT("ocirc"), 0xF4}, {STR_INIT("otilde"), 0xF5},
    {STR_INIT("ouml"), 0xF6}, {STR_INIT("szlig"), 0xDF}, {STR_INIT("uacute"), 0xFA},
    {STR_INIT("uuml"), 0xFC}, {STR_INIT("Auml"), 0xC4}, {STR_INIT("Ouml"), 0xD6},
    {STR_INIT("Uuml"), 0xDC}, {STR_INIT("Eacute"), 0xC9},
};
/* clang-format on */

enum markup_kind
markup_element_kind(struct str name)
{
    if (name.len > NAME_BYTES)
        return MARKUP_NONE;
    for (size_t i = 0; i < COUNT_OF(elements); i++) {
        if (str_equal_ignore_case(name, elements[i].name))
            return elements[i].kind;
    }
    return MARKUP_NONE;
}

/* The value of a digit in any base up to 16, or 16. */
static uint32_t
digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (uint32_t)(c - 'A' + 10);
    return 16;
}

/* "39" or "x27", after the '#'. */
static uint32_t
numeric_entity(struct str digits)
{
    bool is_hex = digits.len > 0 && (digits.ptr[0] == 'x' || digits.ptr[0] == 'X');
    uint32_t base = is_hex ? 16 : 10;
    uint32_t value = 0;

    if (is_hex)
        digits = str_slice(digits, 1, digits.len);
    if (digits.len == 0 || digits.len > 8)
        return 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint32_t digit = digit_value(digits.ptr[i]);

        if (digit >= base)
            return 0;
        value = value * base + digit; /* below 2^32: 8 digits */
    }
    if (value == 0xA0)
        return ' ';
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    if (value < 0x20)
        return value == '\n' || value == '\t' ? value : 0;
    return value >= 0x7F && value < 0xA0 ? 0 : value;
}

uint32_t
markup_entity(struct str name)
{
    if (name.len > 1 && name.ptr[0] == '#')
        return numeric_entity(str_slice(name, 1, name.len));
    for (size_t i = 0; i < COUNT_OF(entities); i++) {
        if (str_equal(name, entities[i].name))
            return entities[i].code_point;
    }
    return 0;
}
