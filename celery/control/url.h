#pragma once

/* Addresses for people to look at: taken apart, and without their secrets.  Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/str.h>

#include "base/buf.h"
#include "base/json_writer.h"

/* Views into the URL, nothing unescaped; absent where there is none. */
struct control_url {
    struct str scheme; /* "sqlite" for a plain path */
    struct str user;
    struct str host;
    struct str path; /* without the slash before it */
    int64_t port;    /* 0 = none */
};

/* Of several addresses, the first. */
void control_url_split(struct str text, struct control_url *out);

/* Passwords become "**": those before a host, in each of several addresses, and those in the query
 * under a secret's name.  Any text will do. */
void control_url_mask(struct str text, struct buf *out);

/* Whether a setting of that name is shown as "********".  Source: Celery, app/utils.py. */
bool control_is_secret_name(struct str name);
