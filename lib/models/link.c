/* Names and blanks of the link records. */

#include "lib/models/link.h"

static const char *const state_names[] = {
#define LINK_STATE_NAME(name, text) text,
    LINK_STATES(LINK_STATE_NAME)
#undef LINK_STATE_NAME
};

const char *
link_state_name(enum link_state state)
{
    return state_names[state];
}

int
link_parse_state(struct str text, enum link_state *out, struct error *err)
{
    if (!text.ptr) {
        *out = LINK_UNCHECKED;
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(state_names); i++) {
        if (str_equal(text, str_from_cstr(state_names[i]))) {
            *out = (enum link_state)i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "'%.*s' is no state of a link",
                     STR_ARG(str_slice(text, 0, 40)));
}

void
link_host_init(struct link_host *host, struct str origin)
{
    *host = (struct link_host){
        .origin = origin,
        .parked_until_us = LINK_NEVER,
        .outage_since_us = LINK_NEVER,
        .canary_at_us = LINK_NEVER,
        .canary_good_at_us = LINK_NEVER,
        .get_first_until_us = LINK_NEVER,
    };
}

void
link_status_init(struct link_status *status)
{
    *status = (struct link_status){
        .last_checked_at_us = LINK_NEVER,
        .next_at_us = LINK_NEVER,
        .gone_at_us = LINK_NEVER,
        .strikes = {.gone_since_us = LINK_NEVER,
                    .gone_strong_since_us = LINK_NEVER,
                    .lost_since_us = LINK_NEVER},
    };
}
