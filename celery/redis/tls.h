#pragma once

/* TLS on a connected non-blocking socket; the only user of OpenSSL's TLS.  Private to
 * celery/redis/.  Version 1.2 at least; the server's certificate is verified, its name too, unless
 * the address says otherwise. */

#include <sys/types.h>

#include "celery/redis/redis.h"

struct tls;

/* Errors: ERR_CONFIG (certificate files), ERR_NOMEM. */
MUST_CHECK int tls_create(const struct redis_address *address, struct str host, int fd,
                          struct tls **out, struct error *err);
void tls_free(struct tls *tls);

/* Try to tell the other side that no more comes. */
void tls_shutdown(struct tls *tls);

/* 1: done; 0: wait for *wants (POLLIN, POLLOUT); or ERR_NETWORK, ERR_CONFIG (certificate). */
MUST_CHECK int tls_handshake(struct tls *tls, short *wants, struct error *err);

/* As link_read and link_write. */
MUST_CHECK ssize_t tls_read(struct tls *tls, void *bytes, size_t n_bytes, short *wants,
                            struct error *err);
MUST_CHECK ssize_t tls_write(struct tls *tls, const void *bytes, size_t n_bytes, short *wants,
                             struct error *err);
bool tls_has_more(const struct tls *tls);
