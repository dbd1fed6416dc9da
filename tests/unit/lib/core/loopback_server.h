#pragma once

/* An HTTP server on 127.0.0.1 that plays a script: a thread inside the test.
 *
 * The n-th request, over whichever connection, gets the n-th answer; beyond the script it gets a
 * 599, so that a test sees a request too many.  Requests are kept as they came. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/str.h>

struct loopback_answer {
    struct str bytes;  /* the whole answer, as it goes over the wire; borrowed until stop */
    bool is_closing;   /* close the connection after it */
    size_t drip_bytes; /* > 0: send so many bytes, then ... */
    unsigned drip_ms;  /* ... rest so long, again and again */
};

struct loopback_server;

/* Listens on a free port.  Ends the test program where that fails. */
struct loopback_server *loopback_start(void);

/* The same with TLS; *ca_path is a PEM file with its own authority, removed by stop. */
struct loopback_server *loopback_start_tls(const char **ca_path);

void loopback_stop(struct loopback_server *server);

/* Append to the script; before the request that meets it. */
void loopback_add(struct loopback_server *server, struct loopback_answer answer);

/* A text answer with a Content-Length: status line, header lines each with CRLF, body. */
void loopback_add_text(struct loopback_server *server, const char *status, const char *headers,
                       const char *body);

uint16_t loopback_port(const struct loopback_server *server);

/* "http://127.0.0.1:PORT" and path; lives until stop. */
struct str loopback_url(struct loopback_server *server, const char *path);

size_t loopback_count_requests(struct loopback_server *server);
size_t loopback_count_connections(struct loopback_server *server);

/* The idx-th request with its head and body; lives until stop. */
struct str loopback_request(struct loopback_server *server, size_t idx);

/* Does the idx-th request hold the text? */
bool loopback_has_sent(struct loopback_server *server, size_t idx, const char *text);

/* TLS: did a client offer HTTP/2? */
bool loopback_was_h2_offered(struct loopback_server *server);
