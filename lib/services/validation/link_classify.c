/* One table, read from the top: a source's own rows stand before those of everybody.
 *
 * It errs on the side of the living.  What a host says about us (401, 403, 405, a captcha) or about
 * itself (5xx) is no word about the dataset; only "not found" and "gone" are, and what fails at the
 * network may be the network. */

#include "lib/services/validation/link_classify.h"

#include <stddef.h>

struct rule {
    enum link_site site; /* LINK_SITE_ANY: everybody */
    int first_status;    /* the range of statuses */
    int last_status;
    const char *word; /* in X-Error-Code or X-Error-Message; NULL = whatever they say */
    struct link_finding finding;
};

#define ALIVE(reason)                                                                              \
    {                                                                                              \
        LINK_CLASS_ALIVE, 0, false, reason                                                         \
    }
#define RESTRICTED(reason)                                                                         \
    {                                                                                              \
        LINK_CLASS_RESTRICTED, 0, false, reason                                                    \
    }
#define GONE(reason)                                                                               \
    {                                                                                              \
        LINK_CLASS_GONE, 1, false, reason                                                          \
    }
#define GONE_TWICE(reason)                                                                         \
    {                                                                                              \
        LINK_CLASS_GONE, 2, true, reason                                                           \
    }
#define GONE_STRONG(reason)                                                                        \
    {                                                                                              \
        LINK_CLASS_GONE, 1, true, reason                                                           \
    }
#define LOST(reason)                                                                               \
    {                                                                                              \
        LINK_CLASS_LOST, 1, false, reason                                                          \
    }
#define PARKED(reason)                                                                             \
    {                                                                                              \
        LINK_CLASS_PARKED, 0, false, reason                                                        \
    }
#define REFUSED(reason)                                                                            \
    {                                                                                              \
        LINK_CLASS_REFUSED, 0, false, reason                                                       \
    }
#define OURS(reason)                                                                               \
    {                                                                                              \
        LINK_CLASS_OURS, 0, false, reason                                                          \
    }

/* clang-format off */
static const struct rule rules[] = {
    {LINK_SITE_HF_API, 401, 401, "Invalid credentials",   OURS("our token is refused")},
    {LINK_SITE_HF_API, 401, 403, "GatedRepo",             RESTRICTED("gated")},
    {LINK_SITE_HF_API, 403, 403, "disabled",              GONE_STRONG("disabled")},
    {LINK_SITE_HF_API, 401, 401, NULL,                    GONE("missing or private")},
    {LINK_SITE_HF_API, 404, 404, NULL,                    GONE("not found")},

    {LINK_SITE_KAGGLE_PAGE, 202, 202, NULL,               RESTRICTED("a challenge, not the page")},

    {LINK_SITE_ANY, 200, 299, NULL,                       ALIVE("found")},
    {LINK_SITE_ANY, 304, 304, NULL,                       ALIVE("not modified")},
    {LINK_SITE_ANY, 300, 399, NULL,                       RESTRICTED("a redirect to nowhere")},
    {LINK_SITE_ANY, 404, 404, NULL,                       GONE("not found")},
    {LINK_SITE_ANY, 410, 410, NULL,                       GONE_TWICE("gone")},
    {LINK_SITE_ANY, 408, 408, NULL,                       LOST("the host timed out")},
    {LINK_SITE_ANY, 429, 429, NULL,                       PARKED("too many requests")},
    {LINK_SITE_ANY, 400, 499, NULL,                       RESTRICTED("refused")},
    {LINK_SITE_ANY, 501, 501, NULL,                       RESTRICTED("refused")},
    {LINK_SITE_ANY, 500, 599, NULL,                       LOST("the host fails")},
    {LINK_SITE_ANY, 600, 999, NULL,                       RESTRICTED("refused")},
};

/* Without an answer, by the kind of failure. */
static const struct link_finding failures[] = {
    [HTTP_FAILURE_NONE]      = LOST("no answer"),
    [HTTP_FAILURE_URL]       = REFUSED("not a URL that can be asked for"),
    [HTTP_FAILURE_REACH]     = REFUSED("its address is not public"),
    [HTTP_FAILURE_NAME]      = LOST("its name is not found"),
    [HTTP_FAILURE_CONNECT]   = LOST("no connection"),
    [HTTP_FAILURE_TLS]       = ALIVE("certificate not valid"),
    [HTTP_FAILURE_TIMEOUT]   = LOST("no answer in time"),
    [HTTP_FAILURE_TRANSFER]  = LOST("the connection broke"),
    [HTTP_FAILURE_REDIRECTS] = LOST("too many redirects"),
};
/* clang-format on */

static bool
says(const struct link_evidence *evidence, const char *word)
{
    struct str wanted = str_from_cstr(word);

    return str_find(evidence->error_code, wanted) < evidence->error_code.len ||
           str_find(evidence->error_message, wanted) < evidence->error_message.len;
}

struct link_finding
link_classify(const struct link_evidence *evidence)
{
    static const struct link_finding paused = PARKED("the host asks for a pause");
    static const struct link_finding strange = RESTRICTED("an answer without a known meaning");

    if (evidence->status == 0)
        return failures[evidence->failure];
    if (evidence->status == 503 && evidence->has_retry_after)
        return paused;
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        const struct rule *rule = &rules[i];

        if ((rule->site == LINK_SITE_ANY || rule->site == evidence->site) &&
            evidence->status >= rule->first_status && evidence->status <= rule->last_status &&
            (!rule->word || says(evidence, rule->word)))
            return rule->finding;
    }
    return strange;
}
