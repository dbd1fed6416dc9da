/* One table of fields per mapping, each with the function that reads its value. */

#include "lib/schedule_fields.h"

#include <inttypes.h>

#include "base/json_scan.h"
#include "base/json_writer.h"
#include "base/number.h"
#include "celery/crontab.h"
#include "lib/core/config_file.h"

#define JSON_BYTES  ((size_t)1 << 20)
#define SHOWN_BYTES 64

struct reader {
    const char *path;
    struct str name; /* of the entry */
    struct arena *arena;
    struct schedule_entry *entry;
};

typedef int (*read_fn)(const struct reader *self, const struct config_node *node,
                       struct error *err);

struct entry_field {
    const char *name;
    read_fn read;
};

/* What was found, for messages. */
static struct str
shown_value(const struct config_node *node)
{
    switch (node->kind) {
    case CONFIG_LIST:
        return STR("a list");
    case CONFIG_MAPPING:
        return STR("a mapping");
    case CONFIG_SCALAR:
        break;
    }
    return str_slice(node->text, 0, SHOWN_BYTES);
}

static int
refuse(const struct reader *self, const struct config_node *node, const char *wanted,
       struct error *err)
{
    return error_set(err, ERR_CONFIG,
                     "%s:%zu: " CONFIG_SCHEDULE_NAME " '%.*s': %.*s must be %s, got '%.*s'",
                     self->path, node->line, STR_ARG(str_slice(self->name, 0, SHOWN_BYTES)),
                     STR_ARG(node->key), wanted, STR_ARG(shown_value(node)));
}

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for the schedule");
}

static int
read_text(const struct reader *self, const struct config_node *node, const char **out,
          struct error *err)
{
    if (node->kind != CONFIG_SCALAR || node->text.len == 0 ||
        str_find_char(node->text, '\0') < node->text.len)
        return refuse(self, node, "a text", err);
    *out = node->text.ptr;
    return 0;
}

static int
read_bool(const struct reader *self, const struct config_node *node, bool *out, struct error *err)
{
    bool is_true = node->kind == CONFIG_SCALAR && str_equal_ignore_case(node->text, STR("true"));

    if (!is_true &&
        (node->kind != CONFIG_SCALAR || !str_equal_ignore_case(node->text, STR("false"))))
        return refuse(self, node, "true or false", err);
    *out = is_true;
    return 0;
}

/* "1800", "1800.0", "30m", "1h30m": seconds. */
static bool
is_span(struct str text, int64_t *out)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t sum = 0;
    size_t at = 0;

    if (number_parse_whole(text, out, NULL) == 0)
        return true;
    for (size_t i = 0; i < COUNT_OF(units) && at < text.len; i++) {
        struct str rest = str_slice(text, at, text.len);
        size_t len = str_find_char(rest, units[i].letter);
        int64_t number;

        if (len == rest.len)
            continue;
        if (rest.ptr[0] < '0' || rest.ptr[0] > '9' ||
            number_parse_i64(str_slice(rest, 0, len), &number, NULL) < 0 ||
            __builtin_mul_overflow(number, units[i].seconds, &number) ||
            __builtin_add_overflow(sum, number, &sum))
            return false;
        at += len + 1;
    }
    *out = sum;
    return at > 0 && at == text.len;
}

static int
read_span(const struct reader *self, const struct config_node *node, int64_t *out,
          struct error *err)
{
    if (node->kind != CONFIG_SCALAR || !is_span(node->text, out) || *out < 0)
        return refuse(self, node, "whole seconds, or as 90s, 30m, 6h, 1d", err);
    return 0;
}

static int
read_task(const struct reader *self, const struct config_node *node, struct error *err)
{
    self->entry->has_task = true;
    return read_text(self, node, &self->entry->row.task, err);
}

/* A field of a crontab: a scalar, or a list of scalars, which stands for a list with commas. */
static int
read_crontab_field(const struct reader *self, const struct config_node *node, struct str *out,
                   struct error *err)
{
    struct buf text = BUF_INIT(CELERY_CRONTAB_FIELD_BYTES);
    const struct config_node *items = node->kind == CONFIG_LIST ? node->items : node;
    size_t n_items = node->kind == CONFIG_LIST ? node->n_items : 1;
    bool ok = n_items > 0;

    for (size_t i = 0; ok && i < n_items; i++) {
        ok = items[i].kind == CONFIG_SCALAR &&
             str_find_char(items[i].text, ' ') == items[i].text.len;
        buf_printf(&text, "%s%.*s", i ? "," : "", STR_ARG(items[i].text));
    }
    if (!ok || buf_status(&text, NULL) < 0) {
        buf_fini(&text);
        return refuse(self, node, "as \"*/15\", \"8-17\", 5 or [5, 35], without blanks", err);
    }
    *out = arena_dup(self->arena, buf_str(&text), &ok);
    buf_fini(&text);
    return ok ? 0 : no_memory(err);
}

static int
read_crontab(const struct reader *self, const struct config_node *node, struct error *err)
{
    struct celery_crontab_fields fields = {STR("*"), STR("*"), STR("*"), STR("*"), STR("*")};
    const struct {
        struct str name;
        struct str *text;
    } known[] = {
        {STR("minute"), &fields.minute},
        {STR("hour"), &fields.hour},
        {STR("day_of_week"), &fields.day_of_week},
        {STR("day_of_month"), &fields.day_of_month},
        {STR("month_of_year"), &fields.month_of_year},
    };
    struct celery_crontab crontab;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < node->n_items; i++) {
        size_t k = 0;

        while (k < COUNT_OF(known) && !str_equal(node->items[i].key, known[k].name))
            k++;
        rc = k == COUNT_OF(known)
                 ? error_set(err, ERR_CONFIG,
                             "%s:%zu: " CONFIG_SCHEDULE_NAME " '%.*s': schedule has no '%.*s':"
                             " allowed are minute, hour, day_of_week, day_of_month and"
                             " month_of_year",
                             self->path, node->items[i].line,
                             STR_ARG(str_slice(self->name, 0, SHOWN_BYTES)),
                             STR_ARG(str_slice(node->items[i].key, 0, SHOWN_BYTES)))
                 : read_crontab_field(self, &node->items[i], known[k].text, err);
    }
    if (rc == 0 && celery_crontab_parse_fields(&fields, &crontab, err) < 0)
        rc = error_wrap(err, -ERR_CONFIG, "%s:%zu: " CONFIG_SCHEDULE_NAME " '%.*s': schedule",
                        self->path, node->line, STR_ARG(str_slice(self->name, 0, SHOWN_BYTES)));
    if (rc < 0) {
        if (err && err->code != ERR_NOMEM)
            err->code = ERR_CONFIG;
        return rc;
    }
    self->entry->row.crontab = arena_printf(
        self->arena, "%.*s %.*s %.*s %.*s %.*s", STR_ARG(fields.minute), STR_ARG(fields.hour),
        STR_ARG(fields.day_of_month), STR_ARG(fields.month_of_year), STR_ARG(fields.day_of_week));
    return self->entry->row.crontab ? 0 : no_memory(err);
}

static int
read_schedule(const struct reader *self, const struct config_node *node, struct error *err)
{
    struct celery_schedule *row = &self->entry->row;

    row->every_s = 0;
    row->crontab = NULL;
    self->entry->has_when = true;
    if (node->kind == CONFIG_MAPPING)
        return read_crontab(self, node, err);
    if (node->kind == CONFIG_SCALAR && is_span(node->text, &row->every_s)) {
        if (row->every_s < 1)
            return refuse(self, node, "one second or more", err);
        return 0;
    }
    if (node->kind != CONFIG_SCALAR || str_find_char(node->text, ' ') == node->text.len)
        return refuse(self, node,
                      "whole seconds, as 30m or 6h, a crontab (\"0 3 * * *\") or its fields"
                      " ({minute: 0, hour: 3})",
                      err);
    return read_text(self, node, &row->crontab, err);
}

static bool
is_json_number(struct str text)
{
    struct str value;

    return json_scan(text, NULL, &value, NULL) == 0 && str_equal(value, text) &&
           json_slice_type(value) == JSON_NUMBER;
}

/* Plain scalars by their looks (YAML 1.2, core schema); numbers keep their digits. */
static void
write_scalar(struct json_writer *json, const struct config_node *node)
{
    struct str text = node->text;
    int64_t whole;
    double number;

    if (node->is_quoted)
        json_str(json, text);
    else if (text.len == 0 || str_equal(text, STR("~")) || str_equal_ignore_case(text, STR("null")))
        json_null(json);
    else if (str_equal_ignore_case(text, STR("true")))
        json_bool(json, true);
    else if (str_equal_ignore_case(text, STR("false")))
        json_bool(json, false);
    else if (is_json_number(text))
        json_raw(json, text);
    else if (number_parse_i64(text, &whole, NULL) == 0)
        json_i64(json, whole);
    else if (number_parse_f64(text, &number, NULL) == 0)
        json_f64(json, number);
    else
        json_str(json, text);
}

/* As deep as the configuration is at most. */
static void
write_value(struct json_writer *json, const struct config_node *node)
{
    switch (node->kind) {
    case CONFIG_SCALAR:
        write_scalar(json, node);
        break;
    case CONFIG_LIST:
        json_begin_array(json);
        for (size_t i = 0; i < node->n_items; i++)
            write_value(json, &node->items[i]);
        json_end_array(json);
        break;
    case CONFIG_MAPPING:
        json_begin_object(json);
        for (size_t i = 0; i < node->n_items; i++) {
            json_name(json, node->items[i].key);
            write_value(json, &node->items[i]);
        }
        json_end_object(json);
        break;
    }
}

/* A value of YAML as JSON text. */
static int
write_json(const struct config_node *node, struct arena *arena, const char **out, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(JSON_BYTES);
    struct json_writer json = {.out = &text, .style = JSON_STYLE_PYTHON};
    bool ok = true;
    int rc;

    write_value(&json, node);
    rc = buf_status(&text, err);
    if (rc < 0)
        return rc;
    *out = arena_dup(arena, buf_str(&text), &ok).ptr;
    return ok ? 0 : no_memory(err);
}

/* Arguments come together: who gives one of the two takes none of the default's. */
static void
begin_arguments(struct schedule_entry *entry)
{
    if (!entry->has_arguments) {
        entry->row.args = NULL;
        entry->row.kwargs = NULL;
    }
    entry->has_arguments = true;
}

static int
read_args(const struct reader *self, const struct config_node *node, struct error *err)
{
    if (node->kind != CONFIG_LIST)
        return refuse(self, node, "a list, as [100, \"updated\"]", err);
    begin_arguments(self->entry);
    return write_json(node, self->arena, &self->entry->row.args, err);
}

static int
read_kwargs(const struct reader *self, const struct config_node *node, struct error *err)
{
    if (node->kind != CONFIG_MAPPING)
        return refuse(self, node, "a mapping, as {limit: 100}", err);
    begin_arguments(self->entry);
    return write_json(node, self->arena, &self->entry->row.kwargs, err);
}

static int
read_enabled(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_bool(self, node, &self->entry->is_enabled, err);
}

static int
read_foreign(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_bool(self, node, &self->entry->is_foreign, err);
}

static int
read_relative(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_bool(self, node, &self->entry->row.is_relative, err);
}

static int
read_timezone(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_text(self, node, &self->entry->row.time_zone, err);
}

static int
read_deadline(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_span(self, node, &self->entry->row.starting_deadline_s, err);
}

static int
read_queue(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_text(self, node, &self->entry->row.queue, err);
}

static int
read_expires(const struct reader *self, const struct config_node *node, struct error *err)
{
    return read_span(self, node, &self->entry->row.expires_s, err);
}

static int
read_priority(const struct reader *self, const struct config_node *node, struct error *err)
{
    int64_t priority;

    if (node->kind != CONFIG_SCALAR || number_parse_i64(node->text, &priority, NULL) < 0 ||
        priority < 0 || priority > 9)
        return refuse(self, node, "0 (served first) to 9", err);
    self->entry->row.priority = (int)priority;
    return 0;
}

static const struct entry_field *
find_nearest(const struct entry_field *fields, struct str name)
{
    const struct entry_field *nearest = fields;
    size_t best = SIZE_MAX;

    for (const struct entry_field *field = fields; field->name; field++) {
        size_t distance = str_distance(name, str_from_cstr(field->name));

        if (distance < best) {
            best = distance;
            nearest = field;
        }
    }
    return nearest;
}

static int
read_mapping(const struct reader *self, const struct entry_field *fields, const char *what,
             const struct config_node *node, struct error *err)
{
    for (size_t i = 0; i < node->n_items; i++) {
        const struct config_node *item = &node->items[i];
        const struct entry_field *field = find_nearest(fields, item->key);
        int rc;

        if (!str_equal(item->key, str_from_cstr(field->name)))
            return error_set(err, ERR_CONFIG,
                             "%s:%zu: " CONFIG_SCHEDULE_NAME
                             " '%.*s': %s '%.*s' is unknown: did you mean '%s'?",
                             self->path, item->line, STR_ARG(str_slice(self->name, 0, SHOWN_BYTES)),
                             what, STR_ARG(str_slice(item->key, 0, SHOWN_BYTES)), field->name);
        rc = field->read(self, item, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
read_options(const struct reader *self, const struct config_node *node, struct error *err)
{
    static const struct entry_field fields[] = {
        {"queue", read_queue},
        {"priority", read_priority},
        {"expires", read_expires},
        {NULL, NULL},
    };

    if (node->kind != CONFIG_MAPPING)
        return refuse(self, node, "a mapping of queue, priority and expires", err);
    return read_mapping(self, fields, "option", node, err);
}

int
schedule_fields_read(const char *path, const struct config_node *node, struct arena *arena,
                     struct schedule_entry *out, struct error *err)
{
    static const struct entry_field fields[] = {
        {"task", read_task},
        {"schedule", read_schedule},
        {"args", read_args},
        {"kwargs", read_kwargs},
        {"options", read_options},
        {"enabled", read_enabled},
        {"timezone", read_timezone},
        {"relative", read_relative},
        {"starting_deadline", read_deadline},
        {"foreign", read_foreign},
        {NULL, NULL},
    };
    const struct reader reader = {path, node->key, arena, out};

    if (node->kind != CONFIG_MAPPING)
        return error_set(err, ERR_CONFIG,
                         "%s:%zu: " CONFIG_SCHEDULE_NAME
                         " '%.*s' must be a mapping of task, schedule ..., got '%.*s'",
                         path, node->line, STR_ARG(str_slice(node->key, 0, SHOWN_BYTES)),
                         STR_ARG(shown_value(node)));
    return read_mapping(&reader, fields, "field", node, err);
}
