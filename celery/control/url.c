/* By hand and lenient: what is no URL is one text without secrets. */

#include "celery/control/url.h"

#include "base/number.h"
#include "celery/control/command.h"

static const struct str secret_words[] = {
    STR_INIT("API"),  STR_INIT("TOKEN"),     STR_INIT("KEY"),      STR_INIT("SECRET"),
    STR_INIT("PASS"), STR_INIT("SIGNATURE"), STR_INIT("DATABASE"),
};

bool
control_is_secret_name(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(secret_words); i++) {
        for (size_t at = 0; at + secret_words[i].len <= name.len; at++) {
            if (str_equal_ignore_case(str_slice(name, at, at + secret_words[i].len),
                                      secret_words[i]))
                return true;
        }
    }
    return false;
}

/* How far user, password, host and port reach: up to the path, the query, or the next address.  A
 * password may hold any of those where it was not escaped, so all before the last '@' belongs to
 * it: rather too much is hidden than too little. */
static size_t
authority_length(struct str rest)
{
    struct str address = str_slice(rest, 0, str_find(rest, STR("://")));
    size_t n = str_find_last(address, STR("@"));

    if (n == address.len)
        n = 0;
    while (n < address.len && address.ptr[n] != '/' && address.ptr[n] != '?' &&
           address.ptr[n] != ';' && address.ptr[n] != ',')
        n++;
    return n;
}

void
control_url_split(struct str text, struct control_url *out)
{
    size_t colon = str_find(text, STR("://"));
    struct str authority;
    struct str rest;
    size_t at;

    *out = (struct control_url){.scheme = STR("sqlite"), .path = text};
    if (colon == text.len)
        return;
    out->scheme = str_slice(text, 0, colon);
    rest = str_slice(text, colon + 3, text.len);
    authority = str_slice(rest, 0, authority_length(rest));
    rest = str_slice(rest, authority.len, rest.len);
    out->path = STR_NULL;
    if (rest.len > 1 && rest.ptr[0] == '/')
        out->path = str_slice(rest, 1, str_find_char(rest, '?'));
    at = str_find_last(authority, STR("@"));
    if (at < authority.len) {
        struct str user = str_slice(authority, 0, at);

        user = str_slice(user, 0, str_find_char(user, ':'));
        out->user = user.len ? user : STR_NULL;
        authority = str_slice(authority, at + 1, authority.len);
    }
    at = str_find_last(authority, STR(":"));
    if (at < authority.len &&
        number_parse_i64(str_slice(authority, at + 1, authority.len), &out->port, NULL) == 0)
        authority = str_slice(authority, 0, at);
    out->host = authority.len ? authority : STR_NULL;
}

static void
mask_authority(struct str authority, struct buf *out)
{
    size_t at = str_find_last(authority, STR("@"));
    struct str user = str_slice(authority, 0, at);
    size_t colon = str_find_char(user, ':');

    if (at == authority.len || colon == user.len) {
        buf_append(out, authority);
        return;
    }
    buf_append(out, str_slice(user, 0, colon));
    buf_append(out, STR(":**"));
    buf_append(out, str_slice(authority, at, authority.len));
}

static void
mask_query(struct str query, struct buf *out)
{
    struct str option;

    for (bool is_first = true; str_split(&query, '&', &option); is_first = false) {
        size_t equal = str_find_char(option, '=');

        if (!is_first)
            buf_append_char(out, '&');
        if (equal < option.len && control_is_secret_name(str_slice(option, 0, equal))) {
            buf_append(out, str_slice(option, 0, equal));
            buf_append(out, STR("=**"));
        } else {
            buf_append(out, option);
        }
    }
}

void
control_url_mask(struct str text, struct buf *out)
{
    size_t question;

    for (;;) {
        size_t colon = str_find(text, STR("://"));
        size_t n;

        if (colon == text.len)
            break;
        buf_append(out, str_slice(text, 0, colon + 3));
        text = str_slice(text, colon + 3, text.len);
        n = authority_length(text);
        mask_authority(str_slice(text, 0, n), out);
        text = str_slice(text, n, text.len);
    }
    question = str_find_char(text, '?');
    if (question == text.len) {
        buf_append(out, text);
        return;
    }
    buf_append(out, str_slice(text, 0, question + 1));
    mask_query(str_slice(text, question + 1, text.len), out);
}

void
control_write_url(struct json_writer *json, struct str url)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(65536);

    control_url_mask(url, &text);
    json_str(json, buf_str(&text));
}
