/* See link.h. */

#include "celery/redis/link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "celery/redis/tls.h"

#define KEEPALIVE_IDLE_S     5
#define KEEPALIVE_INTERVAL_S 3
#define KEEPALIVE_PROBES     3
#define UNACKED_MS           10000U /* data that the other host does not even acknowledge */

/* Half-open connections must be found although nothing is sent; small commands must not wait for
 * the acknowledgement of others.  A system that lacks an option does without. */
static void
set_options(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } rows[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        (void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof(rows[i].value));
}

/* A failure of the socket, whose errno is given. */
static int
fail(int number, const char *what, struct error *err)
{
    return error_set(err, ERR_NETWORK, "%s: %s", what, strerrordesc_np(number));
}

int
link_start(struct link *link, const struct redis_target *target,
           const struct redis_address *address, struct error *err)
{
    int family = target->socket.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = 0;

    *link = (struct link)LINK_INIT;
    if (fd < 0)
        return error_set_errno(err, "cannot make a socket");
    link->fd = fd;
    link->wants = POLLOUT;
    if (family != AF_UNIX)
        set_options(fd);
    if (connect(fd, &target->socket.any, target->len) < 0 && errno != EINPROGRESS)
        rc = fail(errno, "cannot connect", err);
    if (rc == 0 && address->transport == REDIS_TLS)
        rc = tls_create(address, target->host, fd, &link->tls, err);
    if (rc < 0)
        link_forget(link);
    return rc;
}

/* Is the socket connected?  1, 0 or an error. */
static int
finish_connect(const struct link *link, struct error *err)
{
    struct pollfd poll_fd = {.fd = link->fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int number = 0;

    if (poll(&poll_fd, 1, 0) <= 0)
        return 0;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &len) < 0)
        number = errno;
    return number ? fail(number, "cannot connect", err) : 1;
}

int
link_connect(struct link *link, struct error *err)
{
    int rc = 1;

    if (!link->is_connected) {
        rc = finish_connect(link, err);
        link->is_connected = rc == 1;
    }
    if (rc == 1 && link->tls)
        rc = tls_handshake(link->tls, &link->wants, err);
    if (rc == 1)
        link->wants = 0;
    return rc;
}

ssize_t
link_read(struct link *link, void *bytes, size_t n_bytes, struct error *err)
{
    ssize_t n;

    link->wants &= (short)~POLLIN;
    if (link->tls)
        return tls_read(link->tls, bytes, n_bytes, &link->wants, err);
    do
        n = recv(link->fd, bytes, n_bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0)
        return error_set(err, ERR_NETWORK, "the server has closed the connection");
    return errno == EAGAIN ? 0 : fail(errno, "the connection broke", err);
}

ssize_t
link_write(struct link *link, const void *bytes, size_t n_bytes, struct error *err)
{
    ssize_t n;

    link->wants &= (short)~POLLOUT;
    if (link->tls)
        return tls_write(link->tls, bytes, n_bytes, &link->wants, err);
    do
        n = send(link->fd, bytes, n_bytes, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno != EAGAIN)
        return fail(errno, "the connection broke", err);
    link->wants |= POLLOUT;
    return 0;
}

bool
link_has_more(const struct link *link)
{
    return link->tls && tls_has_more(link->tls);
}

void
link_close(struct link *link)
{
    if (link->tls && link->is_connected)
        tls_shutdown(link->tls);
    link_forget(link);
}

void
link_forget(struct link *link)
{
    tls_free(link->tls);
    if (link->fd >= 0)
        (void)close(link->fd);
    *link = (struct link)LINK_INIT;
}
