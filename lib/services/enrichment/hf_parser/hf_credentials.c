/* Setting first, file second, nothing third. */

#include "lib/services/enrichment/hf_parser/hf_credentials.h"

#include <stdlib.h>

#include "base/file.h"

#define TOKEN_FILE_BYTES ((size_t)65536)

typedef const char *(*env_fn)(const char *name);

static const char *
env_or_null(env_fn get_env, const char *name)
{
    const char *value = get_env ? get_env(name) : getenv(name); /* NOLINT: one thread */

    return value && *value ? value : NULL;
}

static bool
is_true(const char *value)
{
    static const struct str words[] = {STR_INIT("1"), STR_INIT("on"), STR_INIT("yes"),
                                       STR_INIT("true")};

    for (size_t i = 0; value && i < COUNT_OF(words); i++) {
        if (str_equal_ignore_case(str_from_cstr(value), words[i]))
            return true;
    }
    return false;
}

static const char *
token_path(env_fn get_env, struct arena *arena)
{
    const char *path = env_or_null(get_env, "HF_TOKEN_PATH");
    const char *hf_home = env_or_null(get_env, "HF_HOME");
    const char *cache = env_or_null(get_env, "XDG_CACHE_HOME");
    const char *home = env_or_null(get_env, "HOME");

    if (path)
        return path;
    if (hf_home)
        return arena_printf(arena, "%s/token", hf_home);
    if (cache)
        return arena_printf(arena, "%s/huggingface/token", cache);
    return home ? arena_printf(arena, "%s/.cache/huggingface/token", home) : NULL;
}

/* A token goes into a header: printable ASCII only. */
static int
check_token(struct str token, const char *origin, struct error *err)
{
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~')
            return error_set(err, ERR_AUTH,
                             "the Hugging Face token from %s holds a blank or a control character",
                             origin);
    }
    return 0;
}

int
hf_credentials_find(struct str configured, env_fn get_env, struct arena *arena, struct str *out,
                    struct error *err)
{
    struct buf text = BUF_INIT(TOKEN_FILE_BYTES);
    struct str token = str_trim(configured);
    const char *path;
    bool ok = true;
    int rc;

    if (token.len) {
        rc = check_token(token, "the settings", err);
        if (rc == 0)
            *out = token;
        return rc;
    }
    *out = STR_NULL;
    if (is_true(env_or_null(get_env, "HF_HUB_DISABLE_IMPLICIT_TOKEN")))
        return 0;
    path = token_path(get_env, arena);
    if (!path || !file_exists(path))
        return 0;
    rc = file_read(path, &text, err);
    if (rc == 0) {
        token = arena_dup(arena, str_trim(buf_str(&text)), &ok);
        rc = ok ? check_token(token, path, err) : error_set(err, ERR_NOMEM, "no memory");
    }
    if (rc == 0 && token.len)
        *out = token;
    buf_fini(&text);
    return rc < 0 ? error_wrap(err, rc, "cannot read the Hugging Face token") : 0;
}
