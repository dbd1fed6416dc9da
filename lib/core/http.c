/* One exchange over libcurl: the only file that knows it.
 *
 * A single easy handle is driven through a multi handle, which keeps the connections between
 * requests and lets us wait in our own loop: cancelling and stalls are seen within POLL_MS, not
 * within the library's second.  Redirects, retries, cookies, proxies, netrc and credentials are all
 * switched off here; what of them we want, http_fetch.c does in the open. */

#include <stdlib.h>
#include <sys/socket.h>

#include "lib/core/http_address.h"
#include "lib/core/http_curl.h"
#include "lib/core/http_exchange.h"
#include "lib/core/http_url.h"

#define POLL_MS         50
#define MAX_CONNECTIONS 16L

struct http_wire {
    CURLM *multi;
    CURL *easy;
    struct http_wire_options options;
    struct buf user_agent;
    struct buf url;
    struct buf head_text;
    struct http_head head;

    /* of the exchange under way */
    struct http_exchange *exchange;
    bool is_head_done; /* later header lines are trailers */
    bool has_enough;
    bool was_address_refused;
    int callback_rc; /* why a callback ended the transfer; its story is in callback_err */
    struct error callback_err;
    char library_error[CURL_ERROR_SIZE];
};

struct str
http_head_find(const struct http_head *head, struct str name)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (str_equal(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return STR_NULL;
}

/* Cut the head's text into fields; names are lowered in place.  Folded lines are passed over. */
static int
parse_head(struct http_wire *wire, struct error *err)
{
    struct http_head *head = &wire->head;
    struct str rest = buf_str(&wire->head_text);
    struct str line;

    head->n_fields = 0;
    while (str_split(&rest, '\n', &line)) {
        size_t colon = str_find_char(line, ':');

        if (colon == 0 || colon == line.len || line.ptr[0] == ' ' || line.ptr[0] == '\t' ||
            str_starts_with(line, STR("HTTP/")))
            continue;
        if (head->n_fields == HTTP_HEAD_MAX_FIELDS)
            return error_set(err, ERR_TOO_LARGE, "an answer has more than %d header fields",
                             HTTP_HEAD_MAX_FIELDS);
        for (size_t i = 0; i < colon; i++) {
            char *c = wire->head_text.ptr + (line.ptr - wire->head_text.ptr) + i;

            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        }
        head->fields[head->n_fields++] = (struct http_header){
            str_trim(str_slice(line, 0, colon)), str_trim(str_slice(line, colon + 1, line.len))};
    }
    return 0;
}

/* End the transfer from a callback. */
static size_t
fail_callback(struct http_wire *wire, int rc)
{
    wire->callback_rc = rc;
    return 0;
}

static size_t
on_header_line(char *bytes, size_t size, size_t n_items, void *context)
{
    struct http_wire *wire = context;
    struct str line = {bytes, size * n_items};
    struct error *err = &wire->callback_err;
    long status = 0;
    int rc;

    if (wire->is_head_done)
        return line.len;
    if (str_starts_with(line, STR("HTTP/"))) /* also after an informational answer */
        buf_clear(&wire->head_text);
    if (str_trim(line).len > 0) {
        buf_append(&wire->head_text, line);
        rc = buf_status(&wire->head_text, err);
        if (rc == -ERR_TOO_LARGE)
            rc = error_set(err, ERR_TOO_LARGE, "an answer's header fields exceed %zu bytes",
                           HTTP_HEAD_MAX_BYTES);
        return rc < 0 ? fail_callback(wire, rc) : line.len;
    }
    (void)curl->easy_getinfo(wire->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return line.len;
    wire->is_head_done = true;
    wire->head.status = (int)status;
    rc = parse_head(wire, err);
    if (rc == 0)
        rc = wire->exchange->receiver.on_head(wire->exchange->receiver.context, &wire->head, err);
    return rc < 0 ? fail_callback(wire, rc) : line.len;
}

static size_t
on_body_block(char *bytes, size_t size, size_t n_items, void *context)
{
    struct http_wire *wire = context;
    const struct http_receiver *receiver = &wire->exchange->receiver;
    struct str block = {bytes, size * n_items};
    curl_off_t n_wire_bytes = 0;
    int rc;

    (void)curl->easy_getinfo(wire->easy, CURLINFO_SIZE_DOWNLOAD_T, &n_wire_bytes);
    rc = receiver->on_body(receiver->context, block, (uint64_t)n_wire_bytes, &wire->callback_err);
    if (rc == HTTP_BODY_ENOUGH) {
        wire->has_enough = true;
        return 0;
    }
    return rc < 0 ? fail_callback(wire, rc) : block.len;
}

/* After the name was resolved and before anything is sent: a name cannot lead elsewhere than to the
 * address that was judged. */
static curl_socket_t
open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_wire *wire = context;

    (void)purpose;
    if (wire->exchange->is_public_only && !http_address_is_public(&address->addr)) {
        wire->was_address_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void
set_option_long(CURL *easy, CURLoption option, long value, CURLcode *first_failure)
{
    CURLcode code = curl->easy_setopt(easy, option, value);

    if (*first_failure == CURLE_OK)
        *first_failure = code;
}

static void
set_option_ptr(CURL *easy, CURLoption option, const void *value, CURLcode *first_failure)
{
    CURLcode code = curl->easy_setopt(easy, option, value);

    if (*first_failure == CURLE_OK)
        *first_failure = code;
}

/* What is the same for every exchange. */
static CURLcode
set_fixed_options(struct http_wire *wire)
{
    static const struct {
        CURLoption option;
        long value;
    } longs[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_NOPROGRESS, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS},
        {CURLOPT_HTTP09_ALLOWED, 0},
        {CURLOPT_DISALLOW_USERNAME_IN_URL, 1},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_QUICK_EXIT, 1}, /* do not wait for a name server that does not answer */
    };
    CURL *easy = wire->easy;
    CURLcode code = CURLE_OK;

    for (size_t i = 0; i < COUNT_OF(longs); i++)
        set_option_long(easy, longs[i].option, longs[i].value, &code);
    set_option_ptr(easy, CURLOPT_PROTOCOLS_STR, "http,https", &code);
    set_option_ptr(easy, CURLOPT_PROXY, "", &code); /* not that of the environment either */
    set_option_ptr(easy, CURLOPT_ACCEPT_ENCODING, "", &code);
    set_option_ptr(easy, CURLOPT_USERAGENT, buf_cstr(&wire->user_agent), &code);
    set_option_ptr(easy, CURLOPT_ERRORBUFFER, wire->library_error, &code);
    set_option_ptr(easy, CURLOPT_HEADERDATA, wire, &code);
    set_option_ptr(easy, CURLOPT_WRITEDATA, wire, &code);
    set_option_ptr(easy, CURLOPT_OPENSOCKETDATA, wire, &code);
    if (wire->options.ca_file)
        set_option_ptr(easy, CURLOPT_CAINFO, wire->options.ca_file, &code);
    set_option_long(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)wire->options.connect_timeout_ms, &code);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header_line);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body_block);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    return code;
}

static void
wire_freep(struct http_wire **wire)
{
    http_wire_free(*wire);
}

int
http_wire_create(const struct http_wire_options *options, struct http_wire **out, struct error *err)
{
    CLEANUP(wire_freep) struct http_wire *wire = NULL;
    CURLcode code;
    int rc = http_curl_load(err);

    if (rc < 0)
        return rc;
    wire = calloc(1, sizeof(*wire));
    if (!wire)
        return error_set(err, ERR_NOMEM, "no memory for an HTTP client");
    wire->options = *options;
    buf_init(&wire->user_agent, 1024);
    buf_init(&wire->url, HTTP_URL_MAX_BYTES + 1);
    buf_init(&wire->head_text, HTTP_HEAD_MAX_BYTES);
    buf_append(&wire->user_agent, options->user_agent);
    code = curl->global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        return error_set(err, ERR_UNSUPPORTED, "cannot start libcurl: %s",
                         curl->easy_strerror(code));
    wire->multi = curl->multi_init();
    wire->easy = curl->easy_init();
    if (!wire->multi || !wire->easy || buf_status(&wire->user_agent, NULL) < 0 ||
        curl->multi_setopt(wire->multi, CURLMOPT_MAXCONNECTS, MAX_CONNECTIONS) != CURLM_OK)
        return error_set(err, ERR_NOMEM, "no memory for an HTTP client");
    code = set_fixed_options(wire);
    if (code != CURLE_OK)
        return error_set(err, ERR_UNSUPPORTED, "this libcurl cannot serve: %s",
                         curl->easy_strerror(code));
    *out = TAKE(wire);
    return 0;
}

void
http_wire_free(struct http_wire *wire)
{
    if (!wire)
        return;
    curl->easy_cleanup(wire->easy);
    error_ignore(curl->multi_cleanup(wire->multi)); /* nothing is attached to it any more */
    curl->global_cleanup();                         /* counted: the last client's call counts */
    buf_fini(&wire->user_agent);
    buf_fini(&wire->url);
    buf_fini(&wire->head_text);
    free(wire);
}

static void
slist_freep(struct curl_slist **list)
{
    curl->slist_free_all(*list);
}

/* The header fields as the library wants them: text lines, "Name;" for an empty value. */
static int
make_header_list(const struct http_exchange *exchange, struct curl_slist **out, struct error *err)
{
    CLEANUP(slist_freep) struct curl_slist *list = NULL;
    CLEANUP(buf_fini) struct buf line = BUF_INIT(HTTP_HEAD_MAX_BYTES);

    for (size_t i = 0; i <= exchange->n_headers; i++) {
        struct curl_slist *longer;

        buf_clear(&line);
        if (i == exchange->n_headers) /* never wait for "100 Continue" */
            buf_append(&line, STR("Expect:"));
        else if (exchange->headers[i].value.len == 0)
            buf_printf(&line, "%.*s;", STR_ARG(exchange->headers[i].name));
        else
            buf_printf(&line, "%.*s: %.*s", STR_ARG(exchange->headers[i].name),
                       STR_ARG(exchange->headers[i].value));
        longer = buf_status(&line, NULL) < 0 ? NULL : curl->slist_append(list, buf_cstr(&line));
        if (!longer)
            return error_set(err, ERR_NOMEM, "no memory for the header fields of a request");
        list = longer;
    }
    *out = TAKE(list);
    return 0;
}

static int
set_request_options(struct http_wire *wire, const struct http_exchange *exchange,
                    const struct curl_slist *headers, struct error *err)
{
    CURL *easy = wire->easy;
    CURLcode code = CURLE_OK;

    buf_clear(&wire->url);
    buf_append(&wire->url, exchange->url);
    set_option_ptr(easy, CURLOPT_URL, buf_cstr(&wire->url), &code);
    set_option_ptr(easy, CURLOPT_HTTPHEADER, headers, &code);
    set_option_long(easy, CURLOPT_TIMEOUT_MS, (long)exchange->timeout_ms, &code);
    set_option_long(easy, CURLOPT_NOBODY, exchange->method == HTTP_HEAD, &code);
    if (exchange->method == HTTP_GET)
        set_option_long(easy, CURLOPT_HTTPGET, 1, &code);
    if (exchange->method == HTTP_POST) {
        set_option_long(easy, CURLOPT_POST, 1, &code);
        set_option_ptr(easy, CURLOPT_POSTFIELDS, exchange->body.ptr ? exchange->body.ptr : "",
                       &code);
        if (code == CURLE_OK)
            code = curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                     (curl_off_t)exchange->body.len);
    }
    if (code != CURLE_OK || buf_status(&wire->url, NULL) < 0)
        return error_set(err, ERR_NOMEM, "cannot prepare a request: %s", curl->easy_strerror(code));
    return 0;
}

/* Bytes moved so far, in either direction. */
static int64_t
count_moved(CURL *easy)
{
    curl_off_t down = 0;
    curl_off_t up = 0;
    long head = 0;

    (void)curl->easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    (void)curl->easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &up);
    (void)curl->easy_getinfo(easy, CURLINFO_HEADER_SIZE, &head);
    return down + up + head;
}

/* Drive the transfer to its end; 0 and the library's verdict, or our own reason to end it. */
static int
run_transfer(struct http_wire *wire, CURLcode *verdict, struct error *err)
{
    const struct http_wire_options *options = &wire->options;
    int64_t moved = -1;
    int64_t moved_us = 0;
    int n_running = 1;
    int n_left;
    CURLMsg *message;

    while (n_running > 0) {
        CURLMcode code = curl->multi_perform(wire->multi, &n_running);
        int64_t now_us = clock_mono_us(options->clock);
        int64_t n = count_moved(wire->easy);

        if (code == CURLM_OK && n_running > 0)
            code = curl->multi_poll(wire->multi, NULL, 0, POLL_MS, NULL);
        if (code != CURLM_OK)
            return error_set(err, ERR_NOMEM, "transfer failed: %s", curl->multi_strerror(code));
        if (options->is_cancelled && options->is_cancelled(options->cancel_context))
            return error_set(err, ERR_CANCELLED, "cancelled");
        if (n != moved) {
            moved = n;
            moved_us = now_us;
        } else if (n_running > 0 && now_us - moved_us >= options->stall_timeout_ms * US_PER_MS) {
            wire->exchange->can_retry = true;
            wire->exchange->failure = HTTP_FAILURE_TIMEOUT;
            return error_set(err, ERR_TIMEOUT, "no byte for %lld ms",
                             (long long)options->stall_timeout_ms);
        }
    }
    *verdict = CURLE_GOT_NOTHING;
    while ((message = curl->multi_info_read(wire->multi, &n_left))) {
        if (message->msg == CURLMSG_DONE)
            *verdict = message->data.result;
    }
    return 0;
}

/* Verdicts that say nothing about the next try. */
static bool
is_passing(CURLcode verdict)
{
    static const CURLcode codes[] = {
        CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT,
        CURLE_GOT_NOTHING,          CURLE_SEND_ERROR,      CURLE_RECV_ERROR,
        CURLE_PARTIAL_FILE,         CURLE_HTTP2,           CURLE_HTTP2_STREAM,
        CURLE_SSL_CONNECT_ERROR,    CURLE_AGAIN,           CURLE_WEIRD_SERVER_REPLY,
        CURLE_BAD_CONTENT_ENCODING, CURLE_WRITE_ERROR,
    };

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (codes[i] == verdict)
            return true;
    }
    return false;
}

/* Verdicts that tell why; the others are broken transfers. */
static enum http_failure
failure_of(CURLcode verdict)
{
    static const struct {
        CURLcode verdict;
        enum http_failure failure;
    } rows[] = {
        {CURLE_URL_MALFORMAT, HTTP_FAILURE_URL},
        {CURLE_UNSUPPORTED_PROTOCOL, HTTP_FAILURE_URL},
        {CURLE_COULDNT_RESOLVE_HOST, HTTP_FAILURE_NAME},
        {CURLE_COULDNT_CONNECT, HTTP_FAILURE_CONNECT},
        {CURLE_PEER_FAILED_VERIFICATION, HTTP_FAILURE_TLS},
        {CURLE_SSL_ISSUER_ERROR, HTTP_FAILURE_TLS},
        {CURLE_OPERATION_TIMEDOUT, HTTP_FAILURE_TIMEOUT},
        {CURLE_OUT_OF_MEMORY, HTTP_FAILURE_NONE},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].verdict == verdict)
            return rows[i].failure;
    }
    return HTTP_FAILURE_TRANSFER;
}

/* What the library says, with nothing in it that could forge a line. */
static void
clean_library_error(struct http_wire *wire, CURLcode verdict)
{
    char *text = wire->library_error;

    if (!text[0])
        (void)strncat(text, curl->easy_strerror(verdict), CURL_ERROR_SIZE - 1);
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7F)
            *text = '.';
    }
}

/* The library's verdict as our error. */
static int
judge(struct http_wire *wire, CURLcode verdict, struct error *err)
{
    if (wire->callback_rc < 0) {
        if (err)
            *err = wire->callback_err;
        return wire->callback_rc;
    }
    if (verdict == CURLE_OK && !wire->is_head_done) {
        wire->exchange->failure = HTTP_FAILURE_TRANSFER;
        wire->exchange->can_retry = true; /* the library lets a connection end within the head */
        return error_set(err, ERR_NETWORK, "the answer ended within its head");
    }
    if (verdict == CURLE_OK || wire->has_enough)
        return 0;
    wire->exchange->failure = failure_of(verdict);
    if (wire->was_address_refused && verdict == CURLE_COULDNT_CONNECT) {
        wire->exchange->failure = HTTP_FAILURE_REACH;
        return error_set(err, ERR_INVALID, "the host's address is not public: refused");
    }
    clean_library_error(wire, verdict);
    wire->exchange->can_retry = is_passing(verdict);
    if (verdict == CURLE_OUT_OF_MEMORY)
        return error_set(err, ERR_NOMEM, "no memory for a transfer");
    return error_set(err, verdict == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_NETWORK, "%s",
                     wire->library_error);
}

int
http_wire_exchange(struct http_wire *wire, struct http_exchange *exchange, struct error *err)
{
    static const char *const names[] = {"GET", "HEAD", "POST"};
    CLEANUP(slist_freep) struct curl_slist *headers = NULL;
    char shown[HTTP_URL_SHOWN_BYTES];
    curl_off_t elapsed_us = 0;
    CURLcode verdict = CURLE_OK;
    int rc;

    exchange->can_retry = false;
    exchange->failure = HTTP_FAILURE_NONE;
    wire->exchange = exchange;
    wire->is_head_done = wire->has_enough = wire->was_address_refused = false;
    wire->callback_rc = 0;
    wire->library_error[0] = '\0';
    buf_clear(&wire->head_text);
    rc = make_header_list(exchange, &headers, err);
    if (rc == 0)
        rc = set_request_options(wire, exchange, headers, err);
    if (rc < 0)
        return rc;
    if (curl->multi_add_handle(wire->multi, wire->easy) != CURLM_OK)
        return error_set(err, ERR_NOMEM, "no memory for a transfer");
    rc = run_transfer(wire, &verdict, err);
    if (rc == 0)
        rc = judge(wire, verdict, err);
    (void)curl->easy_getinfo(wire->easy, CURLINFO_TOTAL_TIME_T, &elapsed_us);
    exchange->elapsed_ms = elapsed_us / 1000;
    (void)curl->multi_remove_handle(wire->multi, wire->easy);
    (void)curl->easy_setopt(wire->easy, CURLOPT_HTTPHEADER, NULL);
    if (rc < 0)
        return error_wrap(err, rc, "%s %s", names[exchange->method],
                          http_url_format_shown(exchange->url, shown));
    return 0;
}
