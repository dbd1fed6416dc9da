/* Four places, asked in order; each fills *out or leaves its authorization absent. */

#include "lib/services/enrichment/kaggle_parser/kaggle_credentials.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"

#define FILE_BYTES   ((size_t)65536)
#define SECRET_BYTES ((size_t)4096)

/* What the search works with. */
struct search {
    struct kaggle_settings settings; /* trimmed */
    struct str home;
    struct str config_dir; /* KAGGLE_CONFIG_DIR */
    struct str xdg_config; /* XDG_CONFIG_HOME */
};

/* Visible ASCII: anything else would break, or forge, a header. */
static bool
is_secret(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    }
    return text.len > 0 && text.len <= SECRET_BYTES;
}

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for credentials");
}

/* Source: RFC 4648 section 4. */
static void
append_base64(struct buf *out, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        unsigned group = 0;

        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < n ? (unsigned char)bytes.ptr[i + k] : 0);
        buf_append_char(out, digits[group >> 18]);
        buf_append_char(out, digits[group >> 12 & 63]);
        buf_append_char(out, n > 1 ? digits[group >> 6 & 63] : '=');
        buf_append_char(out, n > 2 ? digits[group & 63] : '=');
    }
}

static int
set_bearer(struct str token, struct str origin, struct arena *arena, struct kaggle_credentials *out,
           struct error *err)
{
    char *value;

    token = str_trim(token);
    if (!is_secret(token))
        return error_set(err, ERR_CONFIG, "%.*s holds no token: one line of letters and digits",
                         STR_ARG(origin));
    value = arena_printf(arena, "Bearer %.*s", STR_ARG(token));
    out->authorization = str_from_cstr(value);
    out->origin = origin;
    return value ? 0 : no_memory(err);
}

static int
set_basic(struct str user, struct str key, struct str origin, struct arena *arena,
          struct kaggle_credentials *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf pair = BUF_INIT(3 * SECRET_BYTES);
    CLEANUP(buf_fini) struct buf value = BUF_INIT(5 * SECRET_BYTES);
    bool ok = true;
    int rc;

    if (!is_secret(user) || !is_secret(key) || str_find_char(user, ':') < user.len)
        return error_set(err, ERR_CONFIG,
                         "%.*s: the user name and the key are visible ASCII, the name without ':'",
                         STR_ARG(origin));
    buf_printf(&pair, "%.*s:%.*s", STR_ARG(user), STR_ARG(key));
    buf_append(&value, STR("Basic "));
    append_base64(&value, buf_str(&pair));
    rc = buf_status(&pair, err);
    if (rc == 0)
        rc = buf_status(&value, err);
    if (rc < 0)
        return rc;
    out->authorization = arena_dup(arena, buf_str(&value), &ok);
    out->origin = origin;
    return ok ? 0 : no_memory(err);
}

static bool
is_exposed(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

/* The file's token, when there is such a file. */
static int
find_token_file(const char *path, struct arena *arena, struct kaggle_credentials *out,
                struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FILE_BYTES);
    int rc;

    if (!file_exists(path))
        return 0;
    rc = file_read(path, &text, err);
    if (rc == 0)
        rc = set_bearer(buf_str(&text), str_from_cstr(path), arena, out, err);
    if (rc < 0)
        return error_wrap(err, rc, "cannot use Kaggle's token");
    out->is_exposed = is_exposed(path);
    return 0;
}

static int
find_token_setting(const struct search *search, struct arena *arena, struct kaggle_credentials *out,
                   struct error *err)
{
    struct str value = search->settings.api_token;
    char *path;

    if (!value.len)
        return 0;
    path = arena_printf(arena, "%.*s", STR_ARG(value));
    if (!path)
        return no_memory(err);
    if (file_exists(path))
        return find_token_file(path, arena, out, err);
    if (str_find_char(value, '/') < value.len)
        return error_set(err, ERR_CONFIG,
                         "KAGGLE_API_TOKEN names the file '%s', which is not there", path);
    return set_bearer(value, STR("KAGGLE_API_TOKEN"), arena, out, err);
}

static int
find_home_tokens(const struct search *search, struct arena *arena, struct kaggle_credentials *out,
                 struct error *err)
{
    static const char *const names[] = {"access_token", "access_token.txt"};

    for (size_t i = 0; search->home.len && !out->authorization.ptr && i < COUNT_OF(names); i++) {
        char *path = arena_printf(arena, "%.*s/.kaggle/%s", STR_ARG(search->home), names[i]);
        int rc = path ? find_token_file(path, arena, out, err) : no_memory(err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
find_pair(const struct search *search, struct arena *arena, struct kaggle_credentials *out,
          struct error *err)
{
    struct str user = search->settings.username;
    struct str key = search->settings.key;

    if (!user.len || !key.len)
        return 0;
    return set_basic(user, key, STR("KAGGLE_USERNAME and KAGGLE_KEY"), arena, out, err);
}

static int
find_json_file(const char *path, struct arena *arena, struct kaggle_credentials *out,
               struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FILE_BYTES);
    struct json value;
    int rc;

    if (!file_exists(path))
        return 0;
    rc = file_read(path, &text, err);
    if (rc < 0)
        return rc;
    /* the reason of a failed parse could quote the key */
    if (json_parse(buf_str(&text), NULL, arena, &value, NULL) < 0)
        return error_set(err, ERR_CONFIG, "'%s' is not JSON", path);
    rc =
        set_basic(str_trim(json_get_str(&value, STR("username"))),
                  str_trim(json_get_str(&value, STR("key"))), str_from_cstr(path), arena, out, err);
    if (rc < 0)
        return error_wrap(err, rc, "expected {\"username\":...,\"key\":...}");
    out->is_exposed = is_exposed(path);
    return 0;
}

/* The directory of kaggle.json, or NULL. */
static int
find_json_directory(const struct search *search, struct arena *arena, const char **out,
                    struct error *err)
{
    struct str home = search->home;
    struct str xdg = search->xdg_config;
    char *path = NULL;

    *out = NULL;
    if (search->config_dir.len) {
        path = arena_printf(arena, "%.*s", STR_ARG(search->config_dir));
    } else if (home.len) {
        path = arena_printf(arena, "%.*s/.kaggle", STR_ARG(home));
        if (path && !file_exists(path))
            path = xdg.len ? arena_printf(arena, "%.*s/kaggle", STR_ARG(xdg))
                           : arena_printf(arena, "%.*s/.config/kaggle", STR_ARG(home));
    } else {
        return 0;
    }
    *out = path;
    return path ? 0 : no_memory(err);
}

static int
find_json(const struct search *search, struct arena *arena, struct kaggle_credentials *out,
          struct error *err)
{
    const char *directory;
    char *path;
    int rc = find_json_directory(search, arena, &directory, err);

    if (rc < 0 || !directory)
        return rc;
    path = arena_printf(arena, "%s/kaggle.json", directory);
    return path ? find_json_file(path, arena, out, err) : no_memory(err);
}

/* Half a pair that nothing else made up for is a mistake worth telling. */
static int
check_pair(const struct search *search, struct error *err)
{
    bool has_user = search->settings.username.len > 0;
    bool has_key = search->settings.key.len > 0;

    if (has_user == has_key)
        return 0;
    return error_set(err, ERR_CONFIG, "%s is set, but %s is not",
                     has_user ? "KAGGLE_USERNAME" : "KAGGLE_KEY",
                     has_user ? "KAGGLE_KEY" : "KAGGLE_USERNAME");
}

static const char *
get_process_env(const char *name)
{
    return getenv(name);
}

int
kaggle_credentials_find(const struct kaggle_settings *settings,
                        const char *(*get_env)(const char *name), struct arena *arena,
                        struct kaggle_credentials *out, struct error *err)
{
    const char *(*get)(const char *name) = get_env ? get_env : get_process_env;
    struct kaggle_credentials found = {.authorization = STR_NULL};
    struct search search = {
        .settings = {str_trim(settings->api_token), str_trim(settings->username),
                     str_trim(settings->key)},
        .home = str_trim(str_from_cstr(get("HOME"))),
        .config_dir = str_trim(str_from_cstr(get("KAGGLE_CONFIG_DIR"))),
        .xdg_config = str_trim(str_from_cstr(get("XDG_CONFIG_HOME"))),
    };
    int rc;

    rc = find_token_setting(&search, arena, &found, err);
    if (rc == 0 && !found.authorization.ptr)
        rc = find_home_tokens(&search, arena, &found, err);
    if (rc == 0 && !found.authorization.ptr)
        rc = find_pair(&search, arena, &found, err);
    if (rc == 0 && !found.authorization.ptr)
        rc = find_json(&search, arena, &found, err);
    if (rc == 0 && !found.authorization.ptr)
        rc = check_pair(&search, err);
    if (rc == 0)
        *out = found;
    return rc;
}
