/* One row per source; what is of no source that we know is asked for by its URL. */

#include "lib/services/validation/link_target.h"

#include "lib/core/http_url.h"

static const char no_address[] = "no address";

/* "owner/name", or a bare name where the site has such: nothing that could change a URL. */
static bool
is_plain_name(struct str name, size_t n_slashes_min, size_t n_slashes_max)
{
    size_t n_slashes = 0;
    char before = '/';

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c == '/' || c == '.') {
            if (before == '/') /* an empty part, ".", "..", or a hidden name */
                return false;
            n_slashes += c == '/';
        } else if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '_')) {
            return false;
        }
        before = c;
    }
    return before != '/' && n_slashes >= n_slashes_min && n_slashes <= n_slashes_max;
}

static int
format_url(struct str endpoint, const char *path, struct str name, struct arena *arena,
           struct link_target *out, struct error *err)
{
    char *url;

    while (str_ends_with(endpoint, STR("/")))
        endpoint.len--;
    url = arena_printf(arena, "%.*s%s%.*s", STR_ARG(endpoint), path, STR_ARG(name));
    out->url = str_from_cstr(url);
    return url ? 0 : error_set(err, ERR_NOMEM, "no memory for a URL");
}

static int
aim_at_hf(const struct link_sites *sites, const struct link *link, struct arena *arena,
          struct link_target *out, struct error *err)
{
    out->site = LINK_SITE_HF_API;
    out->authorization = sites->hf_authorization;
    if (!is_plain_name(link->external_id, 0, 1)) {
        out->refusal = "not an id of the Hub";
        return 0;
    }
    return format_url(sites->hf_endpoint, "/api/datasets/", link->external_id, arena, out, err);
}

static int
aim_at_kaggle(const struct link_sites *sites, const struct link *link, struct arena *arena,
              struct link_target *out, struct error *err)
{
    out->site = LINK_SITE_KAGGLE_PAGE;
    out->is_get_first = true;
    if (sites->kaggle_interval_ms > out->min_interval_ms)
        out->min_interval_ms = sites->kaggle_interval_ms;
    if (!is_plain_name(link->external_id, 1, 1)) {
        out->refusal = "no reference of Kaggle yet";
        return 0;
    }
    return format_url(sites->kaggle_endpoint, "/datasets/", link->external_id, arena, out, err);
}

static const struct {
    struct str source_name;
    int (*aim)(const struct link_sites *sites, const struct link *link, struct arena *arena,
               struct link_target *out, struct error *err);
} sources[] = {
    {STR_INIT("huggingface"), aim_at_hf},
    {STR_INIT("kaggle"), aim_at_kaggle},
};

static bool
is_of_hub(struct str host)
{
    static const struct str names[] = {STR_INIT("huggingface.co"), STR_INIT("hf.co")};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t n = names[i].len;

        if (host.len >= n &&
            str_equal_ignore_case(str_slice(host, host.len - n, host.len), names[i]))
            return true;
    }
    return false;
}

/* The key of its host; a URL that the HTTP client would not take is refused here already. */
static int
find_origin(struct arena *arena, struct link_target *out, struct error *err)
{
    char origin[HTTP_ORIGIN_BYTES];
    struct http_url url;
    bool ok = true;

    if (http_url_parse(out->url, &url, NULL) < 0) {
        out->refusal = "not a URL that can be asked for";
        return 0;
    }
    if (is_of_hub(url.host) && str_find(url.path, STR("/resolve/")) < url.path.len) {
        out->refusal = "a download of the Hub, which would be counted";
        return 0;
    }
    http_url_format_origin(&url, origin);
    out->origin = arena_dup(arena, str_from_cstr(origin), &ok);
    return ok ? 0 : error_set(err, ERR_NOMEM, "no memory for a host's name");
}

int
link_target_make(const struct link_sites *sites, const struct link *link, struct arena *arena,
                 struct link_target *out, struct error *err)
{
    struct link_target target = {
        .site = LINK_SITE_ANY, .url = link->url, .min_interval_ms = LINK_INTERVAL_MS};
    bool is_known = false;
    int rc = 0;

    for (size_t i = 0; i < COUNT_OF(sources) && !is_known; i++) {
        is_known = str_equal(link->source_name, sources[i].source_name);
        if (is_known)
            rc = sources[i].aim(sites, link, arena, &target, err);
    }
    if (!is_known && target.url.len == 0)
        target.refusal = no_address;
    if (rc == 0 && !target.refusal)
        rc = find_origin(arena, &target, err);
    if (rc == 0)
        *out = target;
    return rc;
}
