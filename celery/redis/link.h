#pragma once

/* A stream to a server: a non-blocking socket, with TLS on it or without.  Private to
 * celery/redis/.
 *
 * Writing never raises SIGPIPE.  Not thread-safe. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "celery/redis/redis.h"

struct tls;

struct redis_target {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } socket;
    socklen_t len;
    struct str host; /* for the certificate; borrowed */
};

struct link {
    int fd; /* -1: none */
    bool is_connected;
    short wants;     /* POLLOUT, POLLIN: what the last step waits for */
    struct tls *tls; /* NULL without */
};

/* {.fd = -1} is a link that has not started. */
#define LINK_INIT                                                                                  \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Begin to connect; with TLS as address says, if it does.  Errors: ERR_NETWORK, ERR_CONFIG (TLS
 * files), ERR_IO (no descriptors), ERR_NOMEM. */
MUST_CHECK int link_start(struct link *link, const struct redis_target *target,
                          const struct redis_address *address, struct error *err);

/* 1: data may flow; 0: wait for link->wants; or an error: ERR_NETWORK, ERR_CONFIG (certificate). */
MUST_CHECK int link_connect(struct link *link, struct error *err);

/* How many bytes went, 0: none for now; or ERR_NETWORK, also when the other side has closed. */
MUST_CHECK ssize_t link_read(struct link *link, void *bytes, size_t n_bytes, struct error *err);
MUST_CHECK ssize_t link_write(struct link *link, const void *bytes, size_t n_bytes,
                              struct error *err);

/* Bytes that poll does not know of can be read. */
bool link_has_more(const struct link *link);

/* Polite: TLS says good-bye.  To forget says nothing: the parent still talks. */
void link_close(struct link *link);
void link_forget(struct link *link);
