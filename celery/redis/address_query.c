/* The query of a Redis URL, and what its parts have in common; see address.c. */

#include "celery/redis/address.h"

#include "base/number.h"

#define MAX_DATABASE ((int64_t)INT32_MAX)

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
redis_url_unescape(struct str text, bool is_query, const char *what, struct arena *arena,
                   struct str *out, struct error *err)
{
    char *copy = arena_alloc_aligned(arena, text.len + 1, 1);
    size_t n = 0;

    if (!copy)
        return error_set(err, ERR_NOMEM, "out of memory for a Redis URL");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0 || high + low == 0)
                return error_set(
                    err, ERR_CONFIG,
                    "Redis URL: the %s has a %% that two hex digits do not follow (%%25"
                    " stands for %% itself), or a NUL",
                    what);
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        copy[n++] = c;
    }
    copy[n] = '\0';
    *out = (struct str){copy, n};
    return 0;
}

/* The last value wins, as in Python. */
static struct str
find_option(struct str query, struct str name)
{
    struct str found = STR_NULL;
    struct str pair;

    while (str_split(&query, '&', &pair)) {
        size_t equals = str_find_char(pair, '=');

        if (str_equal(str_slice(pair, 0, equals), name))
            found = equals < pair.len ? str_slice(pair, equals + 1, pair.len) : STR("");
    }
    return found;
}

int
redis_address_option(const struct redis_address *address, struct str name, struct arena *arena,
                     struct str *out, struct error *err)
{
    struct str value = find_option(address->query, name);
    int rc = 0;

    if (value.ptr)
        rc = redis_url_unescape(value, true, "value of an option", arena, &value, err);
    if (rc == 0)
        *out = value;
    return rc;
}

int
redis_url_parse_database(struct str text, struct redis_address *out, struct error *err)
{
    int64_t database = 0;

    if (text.len > 0 && (number_parse_i64(text, &database, NULL) < 0 || database < 0 ||
                         database > MAX_DATABASE || text.ptr[0] == '+'))
        return error_set(err, ERR_CONFIG,
                         "Redis URL: the database is not a number from 0 on; " REDIS_URL_ADVICE);
    out->database = database;
    return 0;
}

static int
parse_verification(struct str value, struct redis_address *out, struct error *err)
{
    if (str_starts_with(value, STR("CERT_")))
        value = str_slice(value, 5, value.len);
    out->is_unverified = str_equal_ignore_case(value, STR("none"));
    if (!out->is_unverified && value.len > 0 && !str_equal_ignore_case(value, STR("optional")) &&
        !str_equal_ignore_case(value, STR("required")))
        return error_set(err, ERR_CONFIG,
                         "Redis URL: ssl_cert_reqs is '%.*s': use required, optional or none",
                         STR_ARG(str_slice(value, 0, 32)));
    return 0;
}

static bool
is_false(struct str text)
{
    return str_equal_ignore_case(text, STR("false")) || str_equal_ignore_case(text, STR("no")) ||
           str_equal(text, STR("0"));
}

int
redis_url_parse_options(bool is_sentinel, struct arena *arena, struct redis_address *out,
                        struct error *err)
{
    struct str verification = STR_NULL;
    struct str database = STR_NULL;
    struct str other_database = STR_NULL;
    struct str name_check = STR_NULL;
    const struct {
        struct str name;
        struct str *value;
        bool is_tls;
    } rows[] = {
        {STR("ssl_ca_certs"), &out->ca_file, true},
        {STR("ssl_certfile"), &out->cert_file, true},
        {STR("ssl_keyfile"), &out->key_file, true},
        {STR("ssl_cert_reqs"), &verification, true},
        {STR("ssl_check_hostname"), &name_check, true},
        {STR("sentinel_username"), &out->sentinel_user, false},
        {STR("sentinel_password"), &out->sentinel_password, false},
        {STR("master_name"), &out->master_name, false},
        {STR("db"), &database, false},
        {STR("virtual_host"), &other_database, false},
    };
    bool has_tls = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++) {
        rc = redis_address_option(out, rows[i].name, arena, rows[i].value, err);
        has_tls = has_tls || (rows[i].is_tls && rows[i].value->ptr);
    }
    if (rc == 0 && has_tls && is_sentinel)
        out->transport = REDIS_TLS;
    if (rc == 0 && has_tls && out->transport != REDIS_TLS)
        return error_set(err, ERR_CONFIG,
                         "Redis URL: options ssl_... are for rediss:// and sentinel://");
    out->is_any_name = is_false(name_check);
    if (rc == 0)
        rc = parse_verification(verification, out, err);
    if (rc == 0 && database.len + other_database.len > 0)
        rc = redis_url_parse_database(database.len > 0 ? database : other_database, out, err);
    return rc;
}
