/* One thread, one poll loop over the listener and its connections; answers are written blocking. */

#include "tests/unit/lib/core/loopback_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/clock.h"

#define MAX_CONNECTIONS   16
#define MAX_SCRIPT        64
#define MAX_REQUEST_BYTES ((size_t)65536)
#define ARENA_BYTES       ((size_t)64 << 20)

struct connection {
    int fd;
    SSL *tls;
    size_t len;
    char bytes[MAX_REQUEST_BYTES];
};

struct loopback_server {
    pthread_t thread;
    pthread_mutex_t lock; /* over the script, the requests and the arena */
    struct arena arena;
    int listener;
    int wake[2];
    uint16_t port;
    atomic_bool is_stopping;
    atomic_bool was_h2_offered;
    SSL_CTX *tls;
    char ca_path[64];
    struct loopback_answer script[MAX_SCRIPT];
    size_t n_script;
    struct str requests[MAX_SCRIPT];
    size_t n_requests;
    size_t n_connections;
    struct connection *connections[MAX_CONNECTIONS];
};

static void
insist(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    perror(what);
    abort();
}

static void
close_connection(struct loopback_server *server, size_t slot)
{
    struct connection *connection = server->connections[slot];

    SSL_free(connection->tls);
    (void)close(connection->fd);
    free(connection);
    server->connections[slot] = NULL;
}

static void
open_connection(struct loopback_server *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    size_t slot = 0;

    insist(connection != NULL, "connection");
    connection->fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    insist(connection->fd >= 0, "accept");
    while (slot < MAX_CONNECTIONS && server->connections[slot])
        slot++;
    insist(slot < MAX_CONNECTIONS, "too many connections");
    server->connections[slot] = connection;
    (void)pthread_mutex_lock(&server->lock);
    server->n_connections++;
    (void)pthread_mutex_unlock(&server->lock);
    if (!server->tls)
        return;
    connection->tls = SSL_new(server->tls);
    insist(connection->tls && SSL_set_fd(connection->tls, connection->fd) == 1, "tls");
    if (SSL_accept(connection->tls) != 1)
        close_connection(server, slot);
}

static ssize_t
read_some(struct connection *connection, char *out, size_t n_bytes)
{
    if (connection->tls)
        return SSL_read(connection->tls, out, (int)n_bytes);
    return read(connection->fd, out, n_bytes);
}

static bool
write_all(struct connection *connection, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = connection->tls ? SSL_write(connection->tls, bytes.ptr, (int)bytes.len)
                                    : write(connection->fd, bytes.ptr, bytes.len);

        if (n <= 0)
            return false;
        bytes = str_slice(bytes, (size_t)n, bytes.len);
    }
    return true;
}

/* Length of the request at the start of the bytes, or 0 while it is not all there. */
static size_t
request_len(struct str bytes)
{
    size_t head = str_find(bytes, STR("\r\n\r\n"));
    size_t field = str_find(bytes, STR("Content-Length: "));
    size_t body = 0;

    if (head == bytes.len)
        return 0;
    if (field < head)
        body = (size_t)strtoul(bytes.ptr + field + 16, NULL, 10);
    return bytes.len >= head + 4 + body ? head + 4 + body : 0;
}

/* Note the request and find its answer. */
static struct loopback_answer
take_answer(struct loopback_server *server, struct str request)
{
    static const struct loopback_answer too_many = {
        .bytes = STR_INIT("HTTP/1.1 599 Not in the script\r\nContent-Length: 0\r\n\r\n")};
    struct loopback_answer answer = too_many;
    bool ok = true;

    (void)pthread_mutex_lock(&server->lock);
    if (server->n_requests < server->n_script)
        answer = server->script[server->n_requests];
    insist(server->n_requests < MAX_SCRIPT, "too many requests");
    server->requests[server->n_requests++] = arena_dup(&server->arena, request, &ok);
    insist(ok, "memory");
    (void)pthread_mutex_unlock(&server->lock);
    return answer;
}

static bool
send_answer(struct loopback_server *server, struct connection *connection,
            const struct loopback_answer *answer)
{
    struct str rest = answer->bytes;

    while (answer->drip_bytes > 0 && rest.len > answer->drip_bytes) {
        struct pollfd wake = {.fd = server->wake[0], .events = POLLIN};

        if (!write_all(connection, str_slice(rest, 0, answer->drip_bytes)))
            return false;
        rest = str_slice(rest, answer->drip_bytes, rest.len);
        if (poll(&wake, 1, (int)answer->drip_ms) != 0)
            return false;
    }
    return write_all(connection, rest) && !answer->is_closing;
}

/* Bytes have come, or the end. */
static void
serve(struct loopback_server *server, size_t slot)
{
    struct connection *connection = server->connections[slot];
    ssize_t n = read_some(connection, connection->bytes + connection->len,
                          MAX_REQUEST_BYTES - connection->len - 1);
    struct str request;

    if (n <= 0) {
        close_connection(server, slot);
        return;
    }
    connection->len += (size_t)n;
    connection->bytes[connection->len] = '\0';
    request = (struct str){connection->bytes, connection->len};
    request.len = request_len(request);
    if (request.len > 0) {
        struct loopback_answer answer = take_answer(server, request);

        connection->len = 0; /* no client of ours pipelines */
        if (!send_answer(server, connection, &answer))
            close_connection(server, slot);
    }
}

static void *
run(void *context)
{
    struct loopback_server *server = context;

    while (!atomic_load(&server->is_stopping)) {
        struct pollfd fds[MAX_CONNECTIONS + 2] = {{.fd = server->wake[0], .events = POLLIN},
                                                  {.fd = server->listener, .events = POLLIN}};

        for (size_t i = 0; i < MAX_CONNECTIONS; i++)
            fds[i + 2] = (struct pollfd){
                .fd = server->connections[i] ? server->connections[i]->fd : -1, .events = POLLIN};
        (void)poll(fds, COUNT_OF(fds), -1);
        for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
            if (fds[i + 2].revents && server->connections[i])
                serve(server, i);
        }
        if (fds[1].revents)
            open_connection(server);
    }
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        if (server->connections[i])
            close_connection(server, i);
    }
    return NULL;
}

static struct loopback_server *
start(SSL_CTX *tls)
{
    struct loopback_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    insist(server != NULL, "server");
    (void)signal(SIGPIPE, SIG_IGN);
    server->tls = tls;
    server->arena = (struct arena)ARENA_INIT(ARENA_BYTES);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    insist(bind(server->listener, (struct sockaddr *)&address, len) == 0, "bind");
    insist(listen(server->listener, 16) == 0, "listen");
    insist(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
    server->port = ntohs(address.sin_port);
    insist(pipe2(server->wake, O_CLOEXEC) == 0, "pipe");
    insist(pthread_mutex_init(&server->lock, NULL) == 0, "mutex");
    return server;
}

static struct loopback_server *
launch(struct loopback_server *server)
{
    insist(pthread_create(&server->thread, NULL, run, server) == 0, "thread");
    return server;
}

struct loopback_server *
loopback_start(void)
{
    return launch(start(NULL));
}

/* Choose HTTP/1.1, and remember whether the client would have had HTTP/2. */
static int
choose_protocol(SSL *tls, const unsigned char **out, unsigned char *out_len,
                const unsigned char *offered, unsigned offered_len, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    struct loopback_server *server = context;
    struct str list = {(const char *)offered, offered_len};

    (void)tls;
    if (str_find(list, STR("\x02h2")) < list.len)
        atomic_store(&server->was_h2_offered, true);
    *out = ours + 1;
    *out_len = 8;
    return SSL_TLSEXT_ERR_OK;
}

/* A key and a certificate for 127.0.0.1 that is its own authority. */
static void
make_certificate(SSL_CTX *tls, const char *ca_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *alternative =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    FILE *file = fopen(ca_path, "we");

    insist(key && cert && alternative && file, "certificate");
    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"loopback",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    (void)X509_add_ext(cert, alternative, -1);
    insist(X509_sign(cert, key, EVP_sha256()) > 0, "sign");
    insist(SSL_CTX_use_certificate(tls, cert) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1, "key");
    insist(PEM_write_X509(file, cert) == 1 && fclose(file) == 0, "pem");
    X509_EXTENSION_free(alternative);
    X509_free(cert);
    EVP_PKEY_free(key);
}

struct loopback_server *
loopback_start_tls(const char **ca_path)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    struct loopback_server *server = start(tls);

    insist(tls != NULL, "tls");
    (void)snprintf(server->ca_path, sizeof(server->ca_path), "/tmp/loopback-%d-%u.pem",
                   (int)getpid(), (unsigned)server->port);
    make_certificate(tls, server->ca_path);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, server);
    *ca_path = server->ca_path;
    return launch(server);
}

void
loopback_stop(struct loopback_server *server)
{
    atomic_store(&server->is_stopping, true);
    insist(write(server->wake[1], "x", 1) == 1, "wake");
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
    (void)close(server->wake[0]);
    (void)close(server->wake[1]);
    (void)pthread_mutex_destroy(&server->lock);
    SSL_CTX_free(server->tls);
    if (server->ca_path[0])
        (void)unlink(server->ca_path);
    arena_fini(&server->arena);
    free(server);
}

void
loopback_add(struct loopback_server *server, struct loopback_answer answer)
{
    (void)pthread_mutex_lock(&server->lock);
    insist(server->n_script < MAX_SCRIPT, "script");
    server->script[server->n_script++] = answer;
    (void)pthread_mutex_unlock(&server->lock);
}

void
loopback_add_text(struct loopback_server *server, const char *status, const char *headers,
                  const char *body)
{
    char *text;

    (void)pthread_mutex_lock(&server->lock);
    text = arena_printf(&server->arena, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                        headers, strlen(body), body);
    (void)pthread_mutex_unlock(&server->lock);
    insist(text != NULL, "memory");
    loopback_add(server, (struct loopback_answer){.bytes = str_from_cstr(text)});
}

uint16_t
loopback_port(const struct loopback_server *server)
{
    return server->port;
}

struct str
loopback_url(struct loopback_server *server, const char *path)
{
    char *text;

    (void)pthread_mutex_lock(&server->lock);
    text = arena_printf(&server->arena, "%s://127.0.0.1:%u%s", server->tls ? "https" : "http",
                        (unsigned)server->port, path);
    (void)pthread_mutex_unlock(&server->lock);
    insist(text != NULL, "memory");
    return str_from_cstr(text);
}

size_t
loopback_count_requests(struct loopback_server *server)
{
    size_t n;

    (void)pthread_mutex_lock(&server->lock);
    n = server->n_requests;
    (void)pthread_mutex_unlock(&server->lock);
    return n;
}

size_t
loopback_count_connections(struct loopback_server *server)
{
    size_t n;

    (void)pthread_mutex_lock(&server->lock);
    n = server->n_connections;
    (void)pthread_mutex_unlock(&server->lock);
    return n;
}

struct str
loopback_request(struct loopback_server *server, size_t idx)
{
    struct str request = STR_NULL;

    (void)pthread_mutex_lock(&server->lock);
    if (idx < server->n_requests)
        request = server->requests[idx];
    (void)pthread_mutex_unlock(&server->lock);
    return request;
}

bool
loopback_has_sent(struct loopback_server *server, size_t idx, const char *text)
{
    struct str request = loopback_request(server, idx);

    return str_find(request, str_from_cstr(text)) < request.len;
}

bool
loopback_was_h2_offered(struct loopback_server *server)
{
    return atomic_load(&server->was_h2_offered);
}
