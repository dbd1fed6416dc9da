/* What is asked for, in which order, and what the answers mean: against a scripted server. */

#include "lib/services/validation/link_prober.h"

#include "tests/unit/check.h"
#include "tests/unit/lib/core/http_fixture.h"
#include "tests/unit/lib/core/loopback_server.h"

#define MAX_ANSWERS 4

struct context {
    struct loopback_server *server;
    struct http_fixture http;
    struct arena scratch;
};

static void
open_context(struct context *self, struct loopback_server *server)
{
    *self = (struct context){.server = server, .scratch = ARENA_INIT((size_t)4 << 20)};
    http_fixture_init(&self->http);
    http_fixture_open(&self->http);
}

static void
close_context(struct context *self)
{
    http_fixture_close(&self->http);
    arena_fini(&self->scratch);
    loopback_stop(self->server);
}

static int
probe(struct context *self, struct link_target target, bool is_get_first,
      struct link_probe_result *out, struct error *err)
{
    struct link_transport transport = link_transport_http(self->http.client);

    target.min_interval_ms = LINK_INTERVAL_MS;
    return link_probe(&transport, &target, is_get_first, &self->http.clock.base, &self->scratch,
                      out, err);
}

struct answer {
    const char *status;
    const char *headers;
};

static void
test_one_request_after_the_other(void **state)
{
    static const struct {
        enum link_site site;
        bool is_get_first;
        const char *methods; /* of the requests, in order */
        struct answer answers[MAX_ANSWERS];
        enum link_class class;
        int status;
        bool has_head_lied;
        int64_t retry_after_ms;
    } rows[] = {
        {LINK_SITE_ANY, false, "H", {{"200 OK", ""}}, LINK_CLASS_ALIVE, 200, false, 0},
        {LINK_SITE_ANY,
         false,
         "HG",
         {{"404 No", ""}, {"404 No", ""}},
         LINK_CLASS_GONE,
         404,
         false,
         0},
        {LINK_SITE_ANY,
         false,
         "HG",
         {{"404 No", ""}, {"200 OK", ""}},
         LINK_CLASS_ALIVE,
         200,
         true,
         0},
        {LINK_SITE_ANY,
         false,
         "HG",
         {{"405 No", ""}, {"200 OK", ""}},
         LINK_CLASS_ALIVE,
         200,
         true,
         0},
        {LINK_SITE_ANY,
         false,
         "HG",
         {{"503 No", ""}, {"410 Gone", ""}},
         LINK_CLASS_GONE,
         410,
         false,
         0},
        {LINK_SITE_ANY, true, "G", {{"404 No", ""}}, LINK_CLASS_GONE, 404, false, 0},
        {LINK_SITE_ANY, true, "G", {{"200 OK", ""}}, LINK_CLASS_ALIVE, 200, false, 0},
        /* a pause is kept, not asked about again */
        {LINK_SITE_ANY,
         false,
         "H",
         {{"429 Wait", "Retry-After: 90\r\n"}},
         LINK_CLASS_PARKED,
         429,
         false,
         90000},
        {LINK_SITE_ANY, false, "H", {{"429 Wait", ""}}, LINK_CLASS_PARKED, 429, false, 0},
        {LINK_SITE_ANY,
         true,
         "G",
         {{"503 Wait", "Retry-After: 7\r\n"}},
         LINK_CLASS_PARKED,
         503,
         false,
         7000},
        /* redirects are followed within one request */
        {LINK_SITE_ANY,
         false,
         "HH",
         {{"301 There", "Location: /there\r\n"}, {"200 OK", ""}},
         LINK_CLASS_ALIVE,
         200,
         false,
         0},
        {LINK_SITE_HF_API,
         false,
         "HH",
         {{"307 There", "Location: /api/datasets/a/c\r\n"}, {"200 OK", ""}},
         LINK_CLASS_ALIVE,
         200,
         false,
         0},
        {LINK_SITE_HF_API,
         false,
         "H",
         {{"401 No", "X-Error-Message: Invalid credentials in Authorization header\r\n"}},
         LINK_CLASS_OURS,
         401,
         false,
         0},
        {LINK_SITE_HF_API,
         false,
         "HG",
         {{"403 No", ""}, {"403 No", "X-Error-Message: Access to this resource is disabled.\r\n"}},
         LINK_CLASS_GONE,
         403,
         false,
         0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct link_probe_result result;
        struct context self;
        struct error err;
        struct link_target target = {.site = rows[i].site};

        open_context(&self, loopback_start());
        for (size_t j = 0; rows[i].answers[j].status; j++)
            loopback_add_text(self.server, rows[i].answers[j].status, rows[i].answers[j].headers,
                              "");
        target.url = loopback_url(self.server, "/x");
        assert_ok(probe(&self, target, rows[i].is_get_first, &result, &err), err);
        if (result.finding.class != rows[i].class || result.status != rows[i].status)
            fail_msg("row %zu: class %d, status %d", i, (int)result.finding.class, result.status);
        assert_int_equal(result.has_head_lied, rows[i].has_head_lied);
        assert_int_equal(result.retry_after_ms, rows[i].retry_after_ms);
        assert_int_equal(loopback_count_requests(self.server), strlen(rows[i].methods));
        for (size_t j = 0; rows[i].methods[j]; j++)
            assert_int_equal(loopback_request(self.server, j).ptr[0], rows[i].methods[j]);
        close_context(&self);
    }
}

/* Two requests to a host lie a quarter of a second apart. */
static void
test_manners(void **state)
{
    struct link_probe_result result;
    struct context self;
    struct error err;
    struct link_target target = {.site = LINK_SITE_ANY};

    (void)state;
    open_context(&self, loopback_start());
    loopback_add_text(self.server, "404 No", "", "");
    loopback_add_text(self.server, "404 No", "", "");
    target.url = loopback_url(self.server, "/x");
    assert_ok(probe(&self, target, false, &result, &err), err);
    assert_true(self.http.clock.slept_us >= LINK_INTERVAL_MS * US_PER_MS);
    assert_true(loopback_has_sent(self.server, 0, "User-Agent: trawl-test/1.0\r\n"));
    close_context(&self);
}

/* No more than the beginning of a body is read. */
static void
test_a_large_body(void **state)
{
    static char body[(size_t)1 << 20];
    struct link_probe_result result;
    struct context self;
    struct error err;
    struct link_target target = {.site = LINK_SITE_ANY};

    (void)state;
    (void)memset(body, 'x', sizeof(body) - 1);
    open_context(&self, loopback_start());
    loopback_add_text(self.server, "200 OK", "", body);
    target.url = loopback_url(self.server, "/x");
    assert_ok(probe(&self, target, true, &result, &err), err);
    assert_int_equal(result.finding.class, LINK_CLASS_ALIVE);
    assert_int_equal(result.status, 200);
    assert_int_equal(loopback_count_requests(self.server), 1);
    close_context(&self);
}

/* Of a status that no sink takes, too. */
static void
test_a_large_body_of_another_status(void **state)
{
    static char body[200000];
    struct link_probe_result result;
    struct context self;
    struct error err;
    struct link_target target = {.site = LINK_SITE_ANY};

    (void)state;
    (void)memset(body, 'x', sizeof(body) - 1);
    open_context(&self, loopback_start());
    loopback_add_text(self.server, "203 Other", "", body);
    target.url = loopback_url(self.server, "/x");
    assert_ok(probe(&self, target, true, &result, &err), err);
    assert_int_equal(result.finding.class, LINK_CLASS_ALIVE);
    close_context(&self);
}

static void
test_broken_connections(void **state)
{
    struct link_probe_result result;
    struct context self;
    struct error err;
    struct link_target target = {.site = LINK_SITE_ANY};

    (void)state;
    open_context(&self, loopback_start());
    for (int i = 0; i < 3; i++) /* HEAD, GET, and GET with more patience */
        loopback_add(self.server, (struct loopback_answer){.bytes = STR(""), .is_closing = true});
    target.url = loopback_url(self.server, "/x");
    assert_ok(probe(&self, target, false, &result, &err), err);
    assert_int_equal(result.finding.class, LINK_CLASS_LOST);
    assert_int_equal(result.status, 0);
    assert_int_equal(loopback_count_requests(self.server), 3);
    close_context(&self);
}

static void
test_a_certificate_nobody_knows(void **state)
{
    const char *ca_path;
    struct link_probe_result result;
    struct context self;
    struct error err;
    struct link_target target = {.site = LINK_SITE_ANY};
    char url[64];

    (void)state;
    open_context(&self, loopback_start_tls(&ca_path));
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", loopback_port(self.server));
    target.url = str_from_cstr(url);
    assert_ok(probe(&self, target, false, &result, &err), err);
    assert_int_equal(result.finding.class, LINK_CLASS_ALIVE);
    assert_string_equal(result.finding.reason, "certificate not valid");
    assert_int_equal(result.status, 0);
    assert_int_equal(loopback_count_requests(self.server), 0); /* nothing was said to it */
    close_context(&self);
}

/* Each kind of failure by its cause. */
static void
test_why_there_is_no_answer(void **state)
{
    static const struct {
        const char *url; /* %u: a port where nobody listens */
        enum http_reach reach;
        enum link_class class;
        const char *reason;
    } rows[] = {
        {"http://127.0.0.1:%u/", HTTP_REACH_ANY, LINK_CLASS_LOST, "no connection"},
        {"http://no-such-host.invalid/", HTTP_REACH_ANY, LINK_CLASS_LOST, "its name is not found"},
        {"http://127.0.0.1:%u/", HTTP_REACH_PUBLIC, LINK_CLASS_REFUSED,
         "its address is not public"},
        {"http://127.0.0.1/", HTTP_REACH_PUBLIC, LINK_CLASS_REFUSED, "its address is not public"},
        {"http://[::1]/", HTTP_REACH_PUBLIC, LINK_CLASS_REFUSED, "its address is not public"},
        {"ftp://example.org/x", HTTP_REACH_ANY, LINK_CLASS_REFUSED,
         "not a URL that can be asked for"},
    };
    struct loopback_server *server = loopback_start();
    unsigned port = loopback_port(server);

    (void)state;
    loopback_stop(server);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct link_probe_result result;
        struct http_fixture http;
        struct link_transport transport;
        struct arena scratch = ARENA_INIT((size_t)1 << 20);
        struct link_target target = {.site = LINK_SITE_ANY};
        char port_text[16];
        struct error err;
        CLEANUP(buf_fini) struct buf url = BUF_INIT(20000);
        size_t at = str_find(str_from_cstr(rows[i].url), STR("%u"));
        struct str text = str_from_cstr(rows[i].url);

        (void)snprintf(port_text, sizeof(port_text), "%u", port);
        buf_append(&url, str_slice(text, 0, at));
        if (at < text.len) {
            buf_append(&url, str_from_cstr(port_text));
            buf_append(&url, str_slice(text, at + 2, text.len));
        }
        http_fixture_init(&http);
        http.options.reach = rows[i].reach;
        http_fixture_open(&http);
        transport = link_transport_http(http.client);
        target.url = buf_str(&url);
        assert_ok(link_probe(&transport, &target, false, &http.clock.base, &scratch, &result, &err),
                  err);
        assert_string_equal(result.finding.reason, rows[i].reason);
        assert_int_equal(result.finding.class, rows[i].class);
        http_fixture_close(&http);
        arena_fini(&scratch);
    }
}

static void
test_a_redirect_without_end(void **state)
{
    struct link_probe_result result;
    struct context self;
    struct error err;
    struct link_target target = {.site = LINK_SITE_ANY};

    (void)state;
    open_context(&self, loopback_start());
    for (int i = 0; i < 18; i++)
        loopback_add_text(self.server, "302 Round", "Location: /x\r\n", "");
    target.url = loopback_url(self.server, "/x");
    assert_ok(probe(&self, target, false, &result, &err), err);
    assert_int_equal(result.finding.class, LINK_CLASS_LOST);
    assert_string_equal(result.finding.reason, "too many redirects");
    close_context(&self);
}

static void
test_cancelled(void **state)
{
    struct link_probe_result result;
    struct context self;
    struct link_target target = {.site = LINK_SITE_ANY};

    (void)state;
    open_context(&self, loopback_start());
    target.url = loopback_url(self.server, "/x");
    self.http.n_until_cancel = 1;
    assert_int_equal(probe(&self, target, false, &result, NULL), -ERR_CANCELLED);
    close_context(&self);
}

static void
test_targets(void **state)
{
    static const struct link_sites sites = {
        .hf_endpoint = STR_INIT("https://hub.test/"),
        .hf_authorization = STR_INIT("Bearer t"),
        .kaggle_endpoint = STR_INIT("https://kaggle.test"),
        .kaggle_interval_ms = 1000,
    };
    static const struct {
        const char *source, *external_id, *url;
        const char *wanted; /* NULL: refused */
        const char *origin;
        int64_t interval_ms;
    } rows[] = {
        {"huggingface", "squad", NULL, "https://hub.test/api/datasets/squad",
         "https://hub.test:443", 250},
        {"huggingface", "a-1/b_2.c", "https://elsewhere.test/",
         "https://hub.test/api/datasets/a-1/b_2.c", "https://hub.test:443", 250},
        {"huggingface", "a/b/resolve/main", NULL, NULL, NULL, 0},
        {"huggingface", "../models", NULL, NULL, NULL, 0},
        {"huggingface", "a/..", NULL, NULL, NULL, 0},
        {"huggingface", "a/b?x", NULL, NULL, NULL, 0},
        {"huggingface", "a/", NULL, NULL, NULL, 0},
        {"huggingface", "", NULL, NULL, NULL, 0},
        {"kaggle", "owner/slug", NULL, "https://kaggle.test/datasets/owner/slug",
         "https://kaggle.test:443", 1000},
        {"kaggle", "id:12345", NULL, NULL, NULL, 0},
        {"zenodo", "1", "http://example.org/x?y=1", "http://example.org/x?y=1",
         "http://example.org:80", 250},
        {"zenodo", "1", NULL, NULL, NULL, 0},
        {"zenodo", "1", "", NULL, NULL, 0},
        {"zenodo", "1", "ftp://example.org/x", NULL, NULL, 0},
        {"zenodo", "1", "https://user:pw@example.org/", NULL, NULL, 0},
        {"zenodo", "1", "https://HuggingFace.co/datasets/a/b/resolve/main/x.csv", NULL, NULL, 0},
        {"zenodo", "1", "https://cdn.hf.co/datasets/a/b/resolve/main/x.csv", NULL, NULL, 0},
        {"zenodo", "1", "https://example.org/resolve/x.csv", "https://example.org/resolve/x.csv",
         "https://example.org:443", 250},
    };
    struct arena arena = ARENA_INIT((size_t)1 << 20);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct link link = {.source_name = str_from_cstr(rows[i].source),
                                  .external_id = str_from_cstr(rows[i].external_id),
                                  .url = str_from_cstr(rows[i].url)};
        struct link_target target;
        struct error err;

        assert_ok(link_target_make(&sites, &link, &arena, &target, &err), err);
        if (!rows[i].wanted) {
            if (!target.refusal)
                fail_msg("row %zu is not refused", i);
            continue;
        }
        assert_null(target.refusal);
        assert_str_equal(target.url, rows[i].wanted);
        assert_str_equal(target.origin, rows[i].origin);
        assert_int_equal(target.min_interval_ms, rows[i].interval_ms);
        assert_int_equal(target.authorization.len > 0, target.site == LINK_SITE_HF_API);
        assert_int_equal(target.is_get_first, target.site == LINK_SITE_KAGGLE_PAGE);
    }
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_request_after_the_other),
        cmocka_unit_test(test_manners),
        cmocka_unit_test(test_a_large_body),
        cmocka_unit_test(test_a_large_body_of_another_status),
        cmocka_unit_test(test_broken_connections),
        cmocka_unit_test(test_a_certificate_nobody_knows),
        cmocka_unit_test(test_why_there_is_no_answer),
        cmocka_unit_test(test_a_redirect_without_end),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_targets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
