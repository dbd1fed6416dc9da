/* Options to a question, answers to text. */

#include "cli/nodes.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/number.h"
#include "cli/interrupt.h"
#include "cli/safe_text.h"

#define TIMEOUT_MIN_S   0.05
#define TIMEOUT_MAX_S   3600.0
#define ARGUMENTS_BYTES ((size_t)4 << 20)
#define VALUE_BYTES     ((size_t)64 << 20)

static int
read_timeout(struct str text, int64_t *timeout_us, struct error *err)
{
    double seconds;

    if (!text.ptr)
        return 0;
    if (number_parse_f64(text, &seconds, NULL) < 0 || !(seconds >= TIMEOUT_MIN_S) ||
        seconds > TIMEOUT_MAX_S)
        return error_set(err, ERR_ARGS, "--timeout must be %g to %g seconds, got '%.*s'",
                         TIMEOUT_MIN_S, TIMEOUT_MAX_S, STR_ARG(str_slice(text, 0, 64)));
    *timeout_us = (int64_t)(seconds * (double)US_PER_S);
    return 0;
}

static int
read_recipients(struct str text, struct cli_question *out, struct error *err)
{
    struct str rest = text;
    struct str name;

    if (!text.ptr)
        return 0;
    while (str_split(&rest, ',', &name)) {
        name = str_trim(name);
        if (name.len == 0)
            return error_set(err, ERR_ARGS, "--destination has an empty name: '%.*s'",
                             STR_ARG(str_slice(text, 0, 80)));
        if (out->question.n_recipients == CLI_MAX_NODES)
            return error_set(err, ERR_ARGS, "--destination has more than %zu names", CLI_MAX_NODES);
        out->recipients[out->question.n_recipients++] = name;
    }
    return 0;
}

int
cli_question_init(const struct cli_node_options *options, struct cli_question *out,
                  struct error *err)
{
    int rc;

    *out = (struct cli_question){.arguments = BUF_INIT(ARGUMENTS_BYTES),
                                 .question = {.has_reply = true}};
    rc = read_timeout(options->timeout, &out->question.timeout_us, err);
    return rc < 0 ? rc : read_recipients(options->destination, out, err);
}

void
cli_question_fini(struct cli_question *question)
{
    buf_fini(&question->arguments);
}

int
cli_remote_find(const struct cli_remote *table, struct str name, const struct cli_remote **out,
                struct error *err)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(4096);

    for (const struct cli_remote *row = table; row->name; row++) {
        if (str_equal(name, str_from_cstr(row->name))) {
            *out = row;
            return 0;
        }
        buf_printf(&names, "%s%s", row == table ? "" : ", ", row->name);
    }
    return error_set(err, ERR_ARGS, "'%.*s' is unknown: use %s", STR_ARG(str_slice(name, 0, 64)),
                     buf_cstr(&names));
}

static int
refuse_words(const struct cli_remote *remote, struct error *err)
{
    if (!remote->arguments[0])
        return error_set(err, ERR_ARGS, "'%s' takes no arguments", remote->name);
    return error_set(err, ERR_ARGS, "usage: %s %s", remote->name, remote->arguments);
}

static int
write_word(const struct cli_remote_param *param, struct str word, struct json_writer *json,
           struct error *err)
{
    int64_t whole;
    double seconds;
    int rc;

    json_name(json, str_from_cstr(param->name));
    if (param->kind == CLI_REMOTE_WHOLE) {
        rc = number_parse_i64(word, &whole, err);
        if (rc < 0)
            return error_set(err, ERR_ARGS, "%s must be a whole number, got '%.*s'", param->name,
                             STR_ARG(str_slice(word, 0, 64)));
        json_i64(json, whole);
    } else if (param->kind == CLI_REMOTE_SECONDS) {
        rc = number_parse_f64(word, &seconds, err);
        if (rc < 0 || !(seconds >= 0))
            return error_set(err, ERR_ARGS, "%s must be a number of seconds, got '%.*s'",
                             param->name, STR_ARG(str_slice(word, 0, 64)));
        json_f64(json, seconds);
    } else {
        json_str(json, word);
    }
    return 0;
}

int
cli_remote_write(const struct cli_remote *remote, const struct str *words, size_t n_words,
                 struct json_writer *json, struct error *err)
{
    size_t at = 0;
    int rc = 0;

    for (const struct cli_remote_param *param = remote->params;
         rc == 0 && param->kind != CLI_REMOTE_END; param++) {
        if (at == n_words && !param->is_optional)
            return refuse_words(remote, err);
        if (at == n_words)
            break;
        if (param->kind != CLI_REMOTE_REST) {
            rc = write_word(param, words[at++], json, err);
            continue;
        }
        json_name(json, str_from_cstr(param->name));
        json_begin_array(json);
        while (at < n_words)
            json_str(json, words[at++]);
        json_end_array(json);
    }
    return rc == 0 && at < n_words ? refuse_words(remote, err) : rc;
}

int
cli_ask(const struct cli *cli, const struct cli_question *question, struct arena *arena,
        struct control_replies *out, struct error *err)
{
    struct control_question asked = question->question;
    int rc = buf_status(&question->arguments, err);

    if (rc < 0)
        return rc;
    asked.arguments = buf_str(&question->arguments);
    asked.recipients = question->recipients;
    return control_ask(config_get(cli->config, CONFIG_BROKER_URL), &asked, interrupt_is_pending,
                       arena, out, err);
}

static const struct json *
error_of(const struct control_node_reply *reply)
{
    return json_get(&reply->value, STR("error"));
}

/* Objects and lists over several lines, as json.dumps(indent=4) writes them. */
static void
format_nested(const struct json *value, size_t depth, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    bool is_array = value->type == JSON_ARRAY;
    size_t n = is_array                     ? value->array.n_items
               : value->type == JSON_OBJECT ? value->object.n_members
                                            : 0;

    if (n == 0) {
        json_value(&json, value);
        return;
    }
    buf_append(out, is_array ? STR("[\n") : STR("{\n"));
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%*s", (int)(4 * (depth + 1)), "");
        if (!is_array) {
            json_append_quoted(out, value->object.members[i].name, JSON_STYLE_COMPACT);
            buf_append(out, STR(": "));
        }
        format_nested(is_array ? &value->array.items[i] : &value->object.members[i].value,
                      depth + 1, out);
        buf_append(out, i + 1 < n ? STR(",\n") : STR("\n"));
    }
    buf_printf(out, "%*s%s", (int)(4 * depth), "", is_array ? "]" : "}");
}

static void
format_plain(const struct json *value, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    if (value->type == JSON_STRING)
        buf_append(out, value->text);
    else
        json_value(&json, value);
}

static void
format_value(const struct json *value, struct buf *out)
{
    if (value->type != JSON_ARRAY) {
        if (value->type == JSON_OBJECT)
            format_nested(value, 0, out);
        else
            format_plain(value, out);
        return;
    }
    if (value->array.n_items == 0)
        buf_append(out, STR("- empty -"));
    for (size_t i = 0; i < value->array.n_items; i++) {
        buf_append(out, i ? STR("\n* ") : STR("* "));
        format_plain(&value->array.items[i], out);
    }
}

void
cli_print_node(const struct cli *cli, const struct control_node_reply *reply, bool has_value)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(VALUE_BYTES);
    const struct json *error = error_of(reply);
    const struct json *ok = json_get(&reply->value, STR("ok"));

    (void)printf("-> %s", cli_bold(cli));
    cli_print_safe(reply->node, stdout);
    (void)printf("%s: %s\n", cli_reset(cli), error ? "ERROR" : "OK");
    if (!has_value && !error)
        return;
    format_value(error ? error : ok ? ok : &reply->value, &text);
    cli_print_safe_lines(buf_str(&text), error || ok ? "        " : "    ", stdout);
}

void
cli_print_n_online(const struct cli *cli, size_t n_nodes)
{
    if (!cli->quiet)
        (void)printf("\n%zu node%s online.\n", n_nodes, n_nodes == 1 ? "" : "s");
}

static bool
has_answered(const struct control_replies *replies, struct str node)
{
    for (size_t i = 0; i < replies->n_items; i++)
        if (str_equal(replies->items[i].node, node))
            return true;
    return false;
}

static int
explain_silence(const struct cli_question *question, const struct control_replies *replies,
                struct error *err)
{
    double timeout_s = (double)(question->question.timeout_us ? question->question.timeout_us
                                                              : CONTROL_TIMEOUT_US) /
                       (double)US_PER_S;

    if (replies->n_heard == 0)
        return error_set(err, ERR_NOT_FOUND,
                         "no node is online: does a worker run on this broker? "
                         "('trawl worker' starts one)");
    if (question->question.n_recipients)
        return error_set(err, ERR_NOT_FOUND,
                         "no answer from '%.*s'%s within %g s ('trawl status' lists who is there)",
                         STR_ARG(question->recipients[0]),
                         question->question.n_recipients > 1 ? " and the others" : "", timeout_s);
    return error_set(err, ERR_NOT_FOUND,
                     "no node answered within %g s: does a worker run on this broker? "
                     "('trawl worker' starts one)",
                     timeout_s);
}

int
cli_judge_replies(const struct cli_question *question, const struct control_replies *replies,
                  struct error *err)
{
    size_t n_errors = 0;
    size_t n_silent = 0;

    if (replies->n_items == 0)
        return explain_silence(question, replies, err);
    for (size_t i = 0; i < replies->n_items; i++)
        n_errors += error_of(&replies->items[i]) != NULL;
    if (n_errors == replies->n_items)
        return error_set(err, ERR_INVALID, "%s refused", n_errors == 1 ? "the node" : "all nodes");
    for (size_t i = 0; i < question->question.n_recipients; i++) {
        if (has_answered(replies, question->recipients[i]))
            continue;
        n_silent++;
        (void)fprintf(stderr, "trawl: no answer from '%.*s'\n", STR_ARG(question->recipients[i]));
    }
    return n_errors + n_silent ? CLI_PARTIAL : 0;
}

static int
print_json(const struct control_replies *replies, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);

    json_begin_object(&json);
    for (size_t i = 0; i < replies->n_items; i++) {
        json_name(&json, replies->items[i].node);
        json_value(&json, &replies->items[i].value);
    }
    json_end_object(&json);
    return cli_print(&out, err);
}

int
cli_print_replies(const struct cli *cli, const struct cli_question *question,
                  const struct control_replies *replies, struct error *err)
{
    int rc = 0;

    if (cli->json && replies->n_items > 0)
        rc = print_json(replies, err);
    for (size_t i = 0; !cli->json && i < replies->n_items; i++)
        cli_print_node(cli, &replies->items[i], true);
    if (!cli->json && replies->n_items > 0)
        cli_print_n_online(cli, replies->n_items);
    return rc < 0 ? rc : cli_judge_replies(question, replies, err);
}
