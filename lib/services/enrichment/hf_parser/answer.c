/* A refusal that is the Hub's own comes as JSON, or carries X-Error-Message; anything else was
 * written by something on the way, and says nothing about the request. */

#include "lib/services/enrichment/hf_parser/answer.h"

#include "base/utf8.h"
#include "lib/core/http_headers.h"

#define WORDS_BYTES ((size_t)160)

/* Deeper than any card that was seen, shallow enough for the parser's stack. */
#define DEPTH_MAX ((size_t)200)

/* clang-format off */
static const struct {
    int first;
    int last;
    enum error_code code;
    const char *what;
    const char *way_out;
} refusals[] = {
    {401, 401, ERR_AUTH,       "asks for a valid login",      "set HF_TOKEN to a token of your account"},
    {403, 403, ERR_AUTH,       "does not allow the listing",  "give the token in HF_TOKEN read access"},
    {429, 429, ERR_RATE_LIMIT, "asks for fewer requests",     "wait, or set HF_TOKEN for a wider limit"},
    {400, 499, ERR_INVALID,    "refuses the request",         "check HF_ENDPOINT"},
    {500, 599, ERR_NETWORK,    "has an error of its own",     "try again later"},
};
/* clang-format on */

/* The text of an error in any of the forms {"error": text}, {"error": [text]},
 * {"errors": [{"message": text}]}. */
static struct str
find_words(const struct json *body)
{
    const struct json *error = json_get(body, STR("error"));

    if (!error)
        error = json_get(body, STR("errors"));
    if (error && error->type == JSON_ARRAY && error->array.n_items)
        error = &error->array.items[0];
    if (error && error->type == JSON_OBJECT)
        error = json_get(error, STR("message"));
    return error && error->type == JSON_STRING ? error->text : STR_NULL;
}

static bool
is_html(const struct http_response *response)
{
    return str_starts_with(str_trim(response->body), STR("<")) ||
           str_starts_with(http_response_header(response, STR("content-type")), STR("text/html"));
}

static int
fail_garbled(const struct http_response *response, const char *what, struct error *err)
{
    return error_set(err, ERR_NETWORK,
                     "the answer is no list of datasets: %s (status %d, %zu bytes, request '%.*s')",
                     what, response->status, response->body.len,
                     STR_ARG(utf8_cut(http_response_header(response, STR("x-request-id")), 64)));
}

static int
fail_refused(const struct http_response *response, struct str words,
             const struct hf_answer_context *context, struct error *err)
{
    size_t i = 0;
    const char *way_out;
    int rc;

    while (i + 1 < COUNT_OF(refusals) &&
           (response->status < refusals[i].first || response->status > refusals[i].last))
        i++;
    way_out = refusals[i].way_out;
    if (response->status == 401 && context->has_token)
        way_out = "the token in HF_TOKEN is not valid: replace it, or unset it";
    rc = error_set(err, refusals[i].code, "the Hub %s (status %d: %.*s): %s", refusals[i].what,
                   response->status, STR_ARG(utf8_cut(words, WORDS_BYTES)), way_out);
    if (err && response->status == 429)
        (void)http_retry_after_parse(http_response_header(response, STR("retry-after")),
                                     context->now_us, &err->retry_after_ms);
    return rc;
}

int
hf_answer_read(const struct http_response *response, const struct hf_answer_context *context,
               struct arena *arena, struct json *out, bool *is_garbled, struct error *err)
{
    const struct json_limits limits = {.max_depth = DEPTH_MAX};
    struct str words = http_response_header(response, STR("x-error-message"));
    struct json body = {.type = JSON_NULL};
    struct error parse_err;
    int rc = json_parse(response->body, &limits, arena, &body, &parse_err);

    *is_garbled = false;
    if (rc == -ERR_NOMEM)
        return error_set(err, ERR_NOMEM, "no memory for a page of %zu bytes", response->body.len);
    if (rc == 0 && response->status == 200 && body.type == JSON_ARRAY) {
        *out = body;
        return 0;
    }
    if (!words.len)
        words = find_words(&body);
    if (response->status >= 500 && response->status <= 599)
        return fail_refused(response, words, context, err);
    if (response->status == 429 || (response->status >= 400 && response->status < 500 && words.len))
        return fail_refused(response, words, context, err);
    *is_garbled = true;
    if (rc < 0)
        return fail_garbled(response,
                            is_html(response) ? "HTML, as of a captcha" : parse_err.message, err);
    return fail_garbled(response, words.len ? "an error" : json_type_name(body.type), err);
}
