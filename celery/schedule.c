/* Checking a table of entries: a list of checks per row, then the names against each other. */

#include "celery/schedule.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/utf8.h"
#include "celery/broker/broker.h"
#include "celery/client.h"
#include "celery/schedule_timing.h"

#define JSON_ARENA_BYTES ((size_t)8 << 20)

static int
check_name(const struct celery_schedule *row, struct error *err)
{
    struct str name = str_from_cstr(row->name);

    if (name.len == 0 || name.len > CELERY_SCHEDULE_NAME_BYTES)
        return error_set(err, ERR_INVALID,
                         "schedule '%.64s': its name has %zu bytes, 1 to %d are allowed", row->name,
                         name.len, CELERY_SCHEDULE_NAME_BYTES);
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7F)
            return error_set(err, ERR_INVALID,
                             "schedule '%.64s': its name has a control character at byte %zu",
                             row->name, i);
    }
    if (!utf8_is_valid(name))
        return error_set(err, ERR_INVALID, "schedule '%.64s': its name is not UTF-8 text",
                         row->name);
    if (!row->task || row->task[0] == '\0')
        return error_set(err, ERR_INVALID, "schedule '%s': task is missing", row->name);
    return 0;
}

static int
check_json(const struct celery_schedule *row, const char *field, const char *text,
           enum json_type type, struct error *err)
{
    struct arena arena = ARENA_INIT(JSON_ARENA_BYTES);
    struct str json_text = str_from_cstr(text);
    struct json json;
    int rc = 0;

    if (!text)
        return 0;
    if (json_text.len > CELERY_SCHEDULE_ARGS_BYTES)
        return error_set(err, ERR_INVALID,
                         "schedule '%s': %s has %zu bytes, at most %zu are allowed", row->name,
                         field, json_text.len, CELERY_SCHEDULE_ARGS_BYTES);
    rc = json_parse(json_text, NULL, &arena, &json, err);
    if (rc < 0)
        rc = error_wrap(err, rc, "schedule '%s': %s '%.64s' is not JSON", row->name, field, text);
    else if (json.type != type)
        rc = error_set(err, ERR_INVALID, "schedule '%s': %s must be a JSON %s, got %s '%.64s'",
                       row->name, field, json_type_name(type), json_type_name(json.type), text);
    arena_fini(&arena);
    return rc;
}

static int
check_options(const struct celery_schedule *row, struct error *err)
{
    struct str queue = str_from_cstr(row->queue ? row->queue : CELERY_DEFAULT_QUEUE);

    if (row->expires_s < 0 || row->expires_s > CELERY_SCHEDULE_EVERY_MAX_S)
        return error_set(err, ERR_INVALID,
                         "schedule '%s': expires_s is %" PRId64 ", 0 (never) to %" PRId64
                         " are allowed",
                         row->name, row->expires_s, CELERY_SCHEDULE_EVERY_MAX_S);
    if (row->priority < 0 || row->priority > BROKER_MAX_PRIORITY)
        return error_set(err, ERR_INVALID, "schedule '%s': priority is %d, 0 to %d are allowed",
                         row->name, row->priority, BROKER_MAX_PRIORITY);
    if (queue.len == 0 || queue.len > BROKER_MAX_QUEUE_BYTES || !utf8_is_valid(queue))
        return error_set(err, ERR_INVALID,
                         "schedule '%s': queue '%.64s' must be UTF-8 text of 1 to %zu bytes",
                         row->name, row->queue, BROKER_MAX_QUEUE_BYTES);
    return 0;
}

static int
check_row(const struct celery_schedule *row, const struct celery_schedule_options *options,
          struct error *err)
{
    struct celery_timing timing;
    int rc;

    rc = check_name(row, err);
    if (rc == 0)
        rc = check_json(row, "args", row->args, JSON_ARRAY, err);
    if (rc == 0)
        rc = check_json(row, "kwargs", row->kwargs, JSON_OBJECT, err);
    if (rc == 0)
        rc = check_options(row, err);
    if (rc == 0)
        rc = celery_timing_init(row, options, &timing, NULL, err);
    if (rc == 0)
        celery_timing_fini(&timing);
    return rc;
}

int
celery_schedule_check(const struct celery_schedule *rows,
                      const struct celery_schedule_options *options, struct error *err)
{
    for (const struct celery_schedule *row = rows; row->name; row++) {
        int rc = check_row(row, options, err);

        if (rc < 0)
            return rc;
        for (const struct celery_schedule *other = rows; other < row; other++) {
            if (str_equal(str_from_cstr(other->name), str_from_cstr(row->name)))
                return error_set(err, ERR_INVALID,
                                 "schedule '%s' is there twice: names must be unique", row->name);
        }
    }
    return 0;
}
