/* A source of a task: what belongs to the call as a whole. */

#include "lib/source/source_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/number.h"
#include "lib/crons/bridge.h"

#define PACE_MAX_MS INT64_C(3600000)

int
source_read_record(const void *record, size_t record_bytes, void *out, size_t out_bytes,
                   size_t min_bytes, const char *what, struct error *err)
{
    if (record_bytes < min_bytes)
        return error_set(err, ERR_INVALID, "a struct %s begins with its size, got %zu", what,
                         record_bytes);
    (void)memcpy(out, record, record_bytes < out_bytes ? record_bytes : out_bytes);
    return 0;
}

/* Part of the names of settings and of rows. */
static bool
is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c != '_' && !(c >= 'a' && c <= 'z') && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0 && name.len < SOURCE_NAME_BYTES;
}

int
source_open(struct celery_call *call, const struct source_options *options, struct source **out,
            struct error *err)
{
    struct source_options known = {0};
    struct source *self;
    int rc =
        source_read_record(options, options->bytes, &known, sizeof(known),
                           offsetof(struct source_options, min_interval_ms), "source_options", err);

    if (rc < 0)
        return rc;
    if (!is_name(known.name))
        return error_set(err, ERR_INVALID, "'%.*s' is no name of a source: a-z, 0-9 and _",
                         STR_ARG(str_slice(known.name, 0, SOURCE_NAME_BYTES)));
    if (known.min_interval_ms < 0)
        return error_set(err, ERR_INVALID, "min_interval_ms must not be negative");
    if (!celery_call_context(call))
        return error_set(err, ERR_UNSUPPORTED, "this program has no catalogue");
    self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(err, ERR_NOMEM, "no memory for a source");
    self->call = call;
    self->app = celery_call_context(call);
    (void)snprintf(self->name, sizeof(self->name), "%.*s", STR_ARG(known.name));
    self->max_answer_bytes = known.max_answer_bytes;
    self->min_interval_ms =
        source_setting_int(self, "min_interval_ms", known.min_interval_ms, 0, PACE_MAX_MS);
    self->page = (struct arena)ARENA_INIT(SOURCE_PAGE_BYTES);
    self->asked = (struct arena)ARENA_INIT(SOURCE_ASKED_BYTES);
    self->place = (struct arena)ARENA_INIT(SOURCE_PLACE_BYTES);
    *out = self;
    return 0;
}

void
source_close(struct source *source)
{
    if (!source)
        return;
    source_abandon_page(source);
    arena_fini(&source->page);
    arena_fini(&source->asked);
    arena_fini(&source->place);
    free(source);
}

void
source_closep(struct source **source)
{
    source_close(*source);
}

struct str
source_setting(const struct source *source, const char *key, struct str fallback)
{
    char name[SOURCE_NAME_BYTES + 64];
    struct str value;

    (void)snprintf(name, sizeof(name), "%s.%s", source->name, key);
    value = config_find_plugin(container_config(source->app), str_from_cstr(name));
    return value.ptr ? value : fallback;
}

int64_t
source_setting_int(const struct source *source, const char *key, int64_t fallback, int64_t min,
                   int64_t max)
{
    struct str text = source_setting(source, key, STR_NULL);
    int64_t value;

    if (!text.ptr)
        return fallback;
    if (number_parse_i64(text, &value, NULL) == 0 && value >= min && value <= max)
        return value;
    log_warning("setting of a plug-in is not a number from %" PRId64 " to %" PRId64
                ", the default counts: setting=plugins.%s.%s value=%.*s default=%" PRId64,
                min, max, source->name, key, STR_ARG(str_slice(text, 0, 64)), fallback);
    return fallback;
}

void
source_return_ledger(struct source *source)
{
    char text[256];

    log_info("%s: %s", source->name, cron_format_ledger(&source->ledger, text));
    cron_return_ledger(source->call, &source->ledger, source->name, false);
}

int64_t
source_n_fetched(const struct source *source)
{
    return source->ledger.n_fetched;
}

void
source_expect(struct source *source, int64_t n_rows)
{
    source->n_expected = n_rows;
}
