/* A small option reader: getopt_long knows no "did you mean", no ranges and no help text. */

#include "cli/options.h"

#include <inttypes.h>

#include "base/number.h"

struct option_cursor {
    int argc;
    char **argv;
    int at;
    const struct cli_option *tables[2];
};

static const struct cli_option *
find_name(const struct option_cursor *self, struct str name)
{
    for (size_t t = 0; t < COUNT_OF(self->tables); t++) {
        for (const struct cli_option *option = self->tables[t]; option && option->name; option++) {
            if (str_equal(name, str_from_cstr(option->name)))
                return option;
        }
    }
    return NULL;
}

static const struct cli_option *
find_letter(const struct option_cursor *self, char letter)
{
    for (size_t t = 0; t < COUNT_OF(self->tables); t++) {
        for (const struct cli_option *option = self->tables[t]; option && option->name; option++) {
            if (option->letter && option->letter == letter)
                return option;
        }
    }
    return NULL;
}

static int
refuse_name(const struct option_cursor *self, struct str word, struct error *err)
{
    struct str name = str_slice(word, 2, word.len);
    const char *nearest = NULL;
    size_t best = 4;

    for (size_t t = 0; t < COUNT_OF(self->tables); t++) {
        for (const struct cli_option *option = self->tables[t]; option && option->name; option++) {
            size_t distance = str_distance(name, str_from_cstr(option->name));

            if (distance < best) {
                best = distance;
                nearest = option->name;
            }
        }
    }
    if (nearest)
        return error_set(err, ERR_ARGS, "unknown option '%.*s': did you mean '--%s'?",
                         STR_ARG(word), nearest);
    return error_set(err, ERR_ARGS, "unknown option '%.*s' (--help lists all)", STR_ARG(word));
}

static int
store(const struct cli_option *option, struct str value, struct error *err)
{
    int64_t number;

    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        break;
    case CLI_TEXT:
        *(struct str *)option->target = value;
        break;
    case CLI_WHOLE:
        if (number_parse_i64(value, &number, NULL) < 0 || number < option->min ||
            number > option->max)
            return error_set(
                err, ERR_ARGS,
                "--%s must be a whole number from %" PRId64 " to %" PRId64 ", got '%.*s'",
                option->name, option->min, option->max, STR_ARG(str_slice(value, 0, 64)));
        *(int64_t *)option->target = number;
        break;
    }
    return 0;
}

/* The option's value: given behind '=', or the next word. */
static int
take_value(struct option_cursor *self, const struct cli_option *option, struct str attached,
           struct error *err)
{
    if (option->kind == CLI_FLAG) {
        if (attached.ptr)
            return error_set(err, ERR_ARGS, "--%s takes no value", option->name);
        return store(option, STR_NULL, err);
    }
    if (!attached.ptr) {
        if (self->at + 1 >= self->argc)
            return error_set(err, ERR_ARGS, "--%s needs a value: --%s %s", option->name,
                             option->name, option->argument);
        attached = str_from_cstr(self->argv[++self->at]);
    }
    return store(option, attached, err);
}

static int
parse_option(struct option_cursor *self, struct str word, struct error *err)
{
    const struct cli_option *option;
    struct str attached = STR_NULL;
    struct str name;
    size_t equals;

    if (word.ptr[1] != '-') { /* -n 3, -n3 */
        option = find_letter(self, word.ptr[1]);
        if (!option)
            return error_set(err, ERR_ARGS, "unknown option '%.*s' (--help lists all)",
                             STR_ARG(word));
        return take_value(self, option, word.len > 2 ? str_slice(word, 2, word.len) : STR_NULL,
                          err);
    }
    equals = str_find_char(word, '=');
    name = str_slice(word, 2, equals);
    if (equals < word.len)
        attached = str_slice(word, equals + 1, word.len);
    option = find_name(self, name);
    if (!option)
        return refuse_name(self, str_slice(word, 0, equals), err);
    return take_value(self, option, attached, err);
}

int
cli_options_parse(const struct cli_option *options, const struct cli_option *more, int argc,
                  char **argv, struct cli_words *out, struct error *err)
{
    struct option_cursor cursor = {.argc = argc, .argv = argv, .at = 1, .tables = {options, more}};
    bool only_words = false;

    out->n_items = 0;
    for (; cursor.at < argc; cursor.at++) {
        struct str word = str_from_cstr(argv[cursor.at]);
        int rc = 0;

        if (!only_words && str_equal(word, STR("--"))) {
            only_words = true;
        } else if (!only_words && word.len > 1 && word.ptr[0] == '-') {
            rc = parse_option(&cursor, word, err);
        } else if (out->n_items == COUNT_OF(out->items)) {
            rc = error_set(err, ERR_ARGS, "more than %zu words", COUNT_OF(out->items));
        } else {
            out->items[out->n_items++] = word;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

void
cli_options_print(const struct cli_option *options, FILE *out)
{
    for (const struct cli_option *option = options; option->name; option++) {
        char left[64];
        char letter[8] = "    ";

        if (option->letter)
            (void)snprintf(letter, sizeof(letter), "-%c, ", option->letter);
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name,
                       option->argument ? " " : "", option->argument ? option->argument : "");
        (void)fprintf(out, "  %-30s %s\n", left, option->help);
    }
}
