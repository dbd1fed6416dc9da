#pragma once

/* What an answer, or the lack of one, says about a link.  Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/str.h>

#include "lib/core/http.h"

/* Who is asked: each source has rows of its own in the table, before those of everybody. */
enum link_site {
    LINK_SITE_ANY,         /* a URL of no source that we know */
    LINK_SITE_HF_API,      /* /api/datasets/{id} of the Hugging Face Hub */
    LINK_SITE_KAGGLE_PAGE, /* /datasets/{owner}/{slug} of Kaggle */
};

enum link_class {
    LINK_CLASS_ALIVE,
    LINK_CLASS_RESTRICTED, /* there, and not open to us: no strike */
    LINK_CLASS_GONE,       /* evidence of gone */
    LINK_CLASS_LOST,       /* evidence of unreachable */
    LINK_CLASS_REFUSED,    /* we must not ask: the address guard, no usable URL */
    LINK_CLASS_PARKED,     /* the host asks for a pause: no verdict */
    LINK_CLASS_OURS,       /* our own fault (credentials): no verdict */
};

/* What came of the last request to a link.  Texts are borrowed; absent ones are STR_NULL. */
struct link_evidence {
    enum link_site site;
    int status;                /* 0 without an answer; failure tells why */
    enum http_failure failure; /* of a request without an answer */
    bool has_retry_after;
    struct str error_code;    /* X-Error-Code */
    struct str error_message; /* X-Error-Message */
};

struct link_finding {
    enum link_class class;
    int weight;         /* strikes that it counts; 0 where it is none */
    bool is_strong;     /* two of them suffice, a day apart */
    const char *reason; /* static, a few words: "not found", "certificate not valid" */
};

/* The first row of the table that fits.
 * Source: the classes of RFC 9110 section 15; docs/links.md has the table. */
struct link_finding link_classify(const struct link_evidence *evidence);
