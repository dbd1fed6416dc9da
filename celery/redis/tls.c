/* OpenSSL on our socket.  Its own socket BIO would raise SIGPIPE, so it gets one of two functions.
 */

#include "celery/redis/tls.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO_METHOD *method;
    int fd;
    bool is_unverified;
};

static int
bio_write(BIO *bio, const char *bytes, int n_bytes)
{
    const struct tls *tls = BIO_get_data(bio);
    ssize_t n = send(tls->fd, bytes, (size_t)n_bytes, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int
bio_read(BIO *bio, char *bytes, int n_bytes)
{
    const struct tls *tls = BIO_get_data(bio);
    ssize_t n = recv(tls->fd, bytes, (size_t)n_bytes, 0);

    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int)n;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is kept back */
}

/* The oldest error of OpenSSL's queue, as text; the queue is empty afterwards. */
static const char *
reason_text(const char *otherwise)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return text ? text : otherwise;
}

static int
load_files(SSL_CTX *context, const struct redis_address *address, struct error *err)
{
    int is_ok = 1;

    /* Texts in an address end with a NUL: they come from an arena. */
    if (address->ca_file.ptr)
        is_ok = SSL_CTX_load_verify_locations(context, address->ca_file.ptr, NULL);
    else if (!address->is_unverified)
        is_ok = SSL_CTX_set_default_verify_paths(context);
    if (is_ok != 1)
        return error_set(err, ERR_CONFIG, "cannot read the certificates in '%.*s': %s",
                         STR_ARG(address->ca_file), reason_text("unknown reason"));
    if (!address->cert_file.ptr)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(context, address->cert_file.ptr) != 1)
        return error_set(err, ERR_CONFIG, "cannot read the certificate '%.*s': %s",
                         STR_ARG(address->cert_file), reason_text("unknown reason"));
    if (SSL_CTX_use_PrivateKey_file(context, address->key_file.ptr, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return error_set(err, ERR_CONFIG, "cannot use the key '%.*s': %s",
                         STR_ARG(address->key_file), reason_text("unknown reason"));
    return 0;
}

static bool
is_literal_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Whom the certificate must be for. */
static bool
set_name(SSL *ssl, const char *host, bool is_any)
{
    bool is_literal = is_literal_address(host);
    char name[256]; /* OpenSSL's macro wants one that is not const */

    (void)snprintf(name, sizeof(name), "%s", host);
    if (!is_literal && SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    if (is_any)
        return true;
    if (is_literal)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1;
}

/* The SSL object and its way to the socket. */
static bool
make_ssl(struct tls *tls)
{
    BIO *bio;

    tls->ssl = SSL_new(tls->context);
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "redis socket");
    if (!tls->ssl || !tls->method || BIO_meth_set_write(tls->method, bio_write) != 1 ||
        BIO_meth_set_read(tls->method, bio_read) != 1 ||
        BIO_meth_set_ctrl(tls->method, bio_ctrl) != 1)
        return false;
    bio = BIO_new(tls->method);
    if (!bio)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* owns it */
    SSL_set_connect_state(tls->ssl);
    return true;
}

static void
tls_freep(struct tls **tls)
{
    tls_free(*tls);
}

int
tls_create(const struct redis_address *address, struct str host, int fd, struct tls **out,
           struct error *err)
{
    CLEANUP(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));
    int rc;

    if (!tls)
        return error_set(err, ERR_NOMEM, "out of memory for TLS");
    ERR_clear_error();
    tls->fd = fd;
    tls->is_unverified = address->is_unverified;
    tls->context = SSL_CTX_new(TLS_client_method());
    if (!tls->context)
        return error_set(err, ERR_NOMEM, "cannot start TLS: %s", reason_text("out of memory"));
    (void)SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(tls->context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls->context, tls->is_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    rc = load_files(tls->context, address, err);
    if (rc < 0)
        return rc;
    if (!make_ssl(tls) || !set_name(tls->ssl, host.ptr, address->is_any_name || tls->is_unverified))
        return error_set(err, ERR_NOMEM, "cannot start TLS: %s", reason_text("out of memory"));
    *out = TAKE(tls);
    return 0;
}

void
tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    BIO_meth_free(tls->method);
    SSL_CTX_free(tls->context);
    free(tls);
}

void
tls_shutdown(struct tls *tls)
{
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl); /* who does not hear it sees the socket close */
    ERR_clear_error();
}

/* What a call that gave rc means: 0 to wait, or an error. */
static int
explain(struct tls *tls, int rc, short *wants, struct error *err)
{
    int reason = SSL_get_error(tls->ssl, rc);
    long verdict;

    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        *wants |= reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        return 0;
    }
    verdict = SSL_get_verify_result(tls->ssl);
    if (!tls->is_unverified && verdict != X509_V_OK) {
        ERR_clear_error();
        return error_set(err, ERR_CONFIG, "TLS: the server's certificate is not good: %s",
                         X509_verify_cert_error_string(verdict));
    }
    return error_set(err, ERR_NETWORK, "TLS: %s",
                     reason_text("the server has closed the connection"));
}

int
tls_handshake(struct tls *tls, short *wants, struct error *err)
{
    int rc;

    ERR_clear_error();
    *wants = 0;
    rc = SSL_do_handshake(tls->ssl);
    return rc == 1 ? 1 : explain(tls, rc, wants, err);
}

static int
clamp(size_t n_bytes)
{
    return n_bytes > INT_MAX ? INT_MAX : (int)n_bytes;
}

ssize_t
tls_read(struct tls *tls, void *bytes, size_t n_bytes, short *wants, struct error *err)
{
    int n;

    ERR_clear_error();
    n = SSL_read(tls->ssl, bytes, clamp(n_bytes));
    return n > 0 ? n : explain(tls, n, wants, err);
}

ssize_t
tls_write(struct tls *tls, const void *bytes, size_t n_bytes, short *wants, struct error *err)
{
    int n;

    ERR_clear_error();
    n = SSL_write(tls->ssl, bytes, clamp(n_bytes));
    return n > 0 ? n : explain(tls, n, wants, err);
}

bool
tls_has_more(const struct tls *tls)
{
    return SSL_pending(tls->ssl) > 0;
}
