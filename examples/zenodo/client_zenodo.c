/* Zenodo's search over HTTP.
 *
 *     GET /api/records?type=dataset&sort=mostrecent&size=25&page=N&q=created:["A" TO "B"]
 *
 * 25 records a page for anonymous clients, 30 searches a minute (the pace is the source's option,
 * 429 the HTTP client's business), and no more than the first 10,000 results of one search: walk.c
 * narrows the span.  Source: developers.zenodo.org. */

#include "zenodo.h"

#include <stdio.h>
#include <time.h>

#define ATTEMPTS   3
#define TIME_BYTES 40

/* "2026-03-01T12:00:00.000123+00:00" in quotes, or "*". */
static const char *
format_time(int64_t time_us, char text[TIME_BYTES])
{
    time_t seconds = (time_t)(time_us / 1000000);
    int fraction_us = (int)(time_us % 1000000);
    struct tm parts;
    char date[24];

    if (time_us == SOURCE_UNKNOWN || time_us < 0 || !gmtime_r(&seconds, &parts))
        return "*";
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text, TIME_BYTES, "\"%s.%06d+00:00\"", date, fraction_us);
    return text;
}

static char *
make_url(struct source *source, const struct zenodo_span *span, size_t page_number)
{
    struct str endpoint = source_setting(source, "endpoint", ZENODO_ENDPOINT);
    char from[TIME_BYTES], to[TIME_BYTES];
    char query[2 * TIME_BYTES + 32];
    struct str escaped;

    (void)snprintf(query, sizeof(query), "created:[%s TO %s]", format_time(span->from_us, from),
                   format_time(span->to_us, to));
    escaped = source_escape_query(source, str_from_cstr(query));
    return source_printf(source,
                         "%.*s/api/records?type=dataset&sort=mostrecent&size=%d&page=%zu&q=%.*s",
                         STR_ARG(endpoint), ZENODO_PAGE_ROWS, page_number, STR_ARG(escaped));
}

static int
fetch_once(struct source *source, const struct zenodo_span *span, size_t page_number,
           struct zenodo_page *out, struct error *err)
{
    struct source_request request = {.bytes = sizeof(request)};
    char *url = make_url(source, span, page_number);
    struct source_answer answer;
    const struct json *json;
    int rc;

    if (!url)
        return error_set(err, ERR_NOMEM, "no memory for a URL");
    request.url = str_from_cstr(url);
    rc = source_fetch(source, &request, &answer, err);
    if (rc == 0)
        rc = source_parse(source, answer.body, &json, err);
    if (rc < 0)
        return rc;
    out->rows = json_get_typed(json_get(json, STR("hits")), STR("hits"), JSON_ARRAY);
    out->n_rows = json_n_items(out->rows);
    return out->rows ? 0 : error_set(err, ERR_INVALID, "the answer has no hits");
}

int
zenodo_client_fetch(struct source *source, const struct zenodo_span *span, size_t page_number,
                    struct zenodo_page *out, struct error *err)
{
    int rc = -ERR_INVALID;

    for (int attempt = 0; attempt < ATTEMPTS && rc == -ERR_INVALID; attempt++)
        rc = fetch_once(source, span, page_number, out, err);
    if (rc == -ERR_INVALID && err)
        err->code = ERR_NETWORK; /* a page in the way, a broken gateway: later it may be right */
    return rc == -ERR_INVALID ? error_wrap(err, -ERR_NETWORK, "page %zu", page_number) : rc;
}
