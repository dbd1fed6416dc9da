#pragma once

/* A redis-server of the test's own: on a free port of 127.0.0.1 and a socket in a temporary
 * directory, gone with the test whatever ends it.
 *
 * Whatever goes wrong ends the test program, with the server's log; where redis-server is not
 * installed the test is skipped. */

#include <stdbool.h>
#include <stdint.h>

struct redis_server;

struct redis_server_options {
    const char *const *arguments; /* more of them, NULL at the end; NULL: none */
    const char *sentinel;         /* run as a Sentinel: the text of its configuration */
    bool is_tls;                  /* the port speaks TLS, for certificates of the test's own */
    bool is_persistent;           /* append-only file, each write on disk; else nothing is kept */
};

/* Starts and waits until it answers.  options may be NULL. */
struct redis_server *redis_server_start(const struct redis_server_options *options);

/* Ends it and removes its directory; NULL is fine. */
void redis_server_stop(struct redis_server *server);

void redis_server_kill(struct redis_server *server);    /* SIGKILL, and wait for its end */
void redis_server_pause(struct redis_server *server);   /* SIGSTOP */
void redis_server_resume(struct redis_server *server);  /* SIGCONT */
void redis_server_restart(struct redis_server *server); /* on the same port; kills it if it runs */

uint16_t redis_server_port(const struct redis_server *server);
const char *redis_server_dir(const struct redis_server *server);

/* "redis://127.0.0.1:PORT" (or rediss://) and tail, such as "/1"; lives until stop. */
const char *redis_server_url(struct redis_server *server, const char *tail);

/* "redis+socket:///DIR/redis.sock" and tail, such as "?virtual_host=1"; lives until stop. */
const char *redis_server_socket_url(struct redis_server *server, const char *tail);

/* Send one command (words by spaces) over the socket and give the raw reply, cut at 4 KiB; lives
 * until the next. */
const char *redis_server_say(struct redis_server *server, const char *command);
