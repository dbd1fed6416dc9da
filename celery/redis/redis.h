#pragma once

/* One connection to a Redis server, for an event loop: commands go into a buffer, replies come out
 * in the same order.  Nothing here knows what the commands are for.
 *
 *     redis_open(&address, &options, &redis, err)
 *     redis_command(redis, words, n_words, err)            as many as there are: a pipeline
 *     for (;;) {
 *         redis_get_wait(redis, &wait);
 *         poll wait.fd for wait.events, until wait.deadline_us at the latest
 *         rc = redis_run(redis, err);                      writes, reads
 *         while (redis_take(redis, &reply)) ...            borrowed until the next redis_run
 *     }
 *
 * Greeting: name and password, the database's number and the client's name are sent first, and the
 * server's role is looked at; the caller's commands follow and never see those replies.
 *
 * A connection that fails stays failed (redis_run says why, every time): nobody knows which of the
 * commands without a reply were carried out.  The caller closes it, opens another, and decides what
 * to say again.
 *
 * Only RESP2 is spoken.  Own code and not hiredis, since Debian 12's release (0.14) has neither TLS
 * nor a parser without a heap object per value.
 *
 * Threads and processes: one thread of one process; after fork the child calls redis_forget.
 * Source: redis.io, "Redis serialization protocol specification", "Guidelines for Redis clients
 * with support for Redis Sentinel". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/clock.h"

#define REDIS_MAX_HOSTS 16

struct redis_host {
    struct str name; /* IPv6 without brackets */
    uint16_t port;
};

enum redis_transport { REDIS_TCP, REDIS_TLS, REDIS_UNIX };

/* Where and how, from a URL.  Texts are unescaped and live in the arena that it was parsed into. */
struct redis_address {
    enum redis_transport transport;
    struct redis_host hosts[REDIS_MAX_HOSTS]; /* one, or the Sentinels */
    size_t n_hosts;
    struct str path;        /* of the socket; REDIS_UNIX only */
    struct str user;        /* absent: the default user */
    struct str password;    /* absent: none is sent */
    struct str master_name; /* present: the hosts are Sentinels, that know where this one is */
    struct str sentinel_user;
    struct str sentinel_password;
    int64_t database;
    struct str ca_file;   /* TLS: absent = the system's */
    struct str cert_file; /* TLS: of the client */
    struct str key_file;
    bool is_unverified; /* TLS: ssl_cert_reqs=none */
    bool is_any_name;   /* TLS: ssl_check_hostname=false, the certificate may be for another host */
    struct str query;   /* options that are not of the connection: redis_address_option */
};

/* redis://[user[:password]@]host[:6379][/db], rediss:// (TLS),
 * redis+socket:///path[?virtual_host=db] (or unix:///path[?db=db]),
 * sentinel://[user:password@]h1:26379;sentinel://h2:26379[/db]?master_name=NAME.  Options in the
 * query: ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_cert_reqs (none, optional, required; also
 * CERT_NONE and so on), ssl_check_hostname (on any of them sentinel:// speaks TLS),
 * sentinel_username, sentinel_password, and those of whoever asks for them.  User and password are
 * those of the server, not of its Sentinels.
 * Errors: ERR_CONFIG (what is wrong with the URL, without its password), ERR_NOMEM. */
MUST_CHECK int redis_address_parse(struct str url, struct arena *arena, struct redis_address *out,
                                   struct error *err);

/* The value of an option of the query, unescaped into the arena; STR_NULL when it is not there.
 * Errors: ERR_CONFIG (bad escape), ERR_NOMEM. */
MUST_CHECK int redis_address_option(const struct redis_address *address, struct str name,
                                    struct arena *arena, struct str *out, struct error *err);

/* "redis://host:6379/0", without user and password: for messages.  Returns text. */
#define REDIS_TEXT_BYTES 300
const char *redis_address_format(const struct redis_address *address, char text[REDIS_TEXT_BYTES]);

struct redis;

/* Zero means the default, everywhere. */
struct redis_options {
    struct str client_name;   /* CLIENT SETNAME */
    int64_t connect_us;       /* 2 s: until the greeting is answered, all hosts together; then
                                 ERR_TIMEOUT */
    int64_t reply_us;         /* 10 s: the longest silence while replies are due, then ERR_TIMEOUT;
                                 TIME_UNKNOWN = wait for ever (a blocking command, a subscriber) */
    int64_t idle_us;          /* 15 s: PING on a quiet connection; TIME_UNKNOWN = never */
    size_t max_reply_bytes;   /* 512 MiB */
    size_t max_pending_bytes; /* 64 MiB of commands that are not written, then ERR_BUSY */
};

enum redis_kind { REDIS_NIL, REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_BULK, REDIS_ARRAY };

/* A reply, or a part of one; borrowed from the connection. */
struct redis_value {
    enum redis_kind kind;
    struct str text;                 /* STATUS, ERROR, BULK */
    int64_t integer;                 /* INTEGER */
    const struct redis_value *items; /* ARRAY */
    size_t n_items;
};

/* Make a connection; the address must outlive it.  Looks names up, which blocks as long as the
 * resolver does.  Errors: ERR_NETWORK (no host known), ERR_NOMEM.  redis_run connects, and tells
 * whether somebody answers; connect_us counts from its first call. */
MUST_CHECK int redis_open(const struct redis_address *address, const struct redis_options *options,
                          struct redis **out, struct error *err);
/* NULL is fine; what is not written is dropped. */
void redis_close(struct redis *redis);
void redis_closep(struct redis **redis);

/* In a forked child: as redis_close, but the server hears nothing of it. */
void redis_forget(struct redis *redis);

/* Append one command; words are copied.  It gets one reply, a subscriber's (SUBSCRIBE, PSUBSCRIBE
 * and their opposites) one for each channel, which must be named; MONITOR and the like are not for
 * this connection.  Errors: ERR_BUSY (full: run, then again), ERR_TOO_LARGE (it never fits),
 * ERR_ARGS (no channel), ERR_NOMEM; and what redis_run says once the connection has failed. */
MUST_CHECK int redis_command(struct redis *redis, const struct str *words, size_t n_words,
                             struct error *err);

/* Write and read what goes without waiting.  Replies that came before a failure are handed out
 * first.  Errors, all of them for good: ERR_NETWORK, ERR_TIMEOUT, ERR_AUTH (password wrong or
 * missing), ERR_CONFIG (TLS, database number, a Sentinel for a server), ERR_INVALID (no RESP),
 * ERR_TOO_LARGE, ERR_NOMEM, ERR_IO (no descriptor).  A server that is loading its data, or a
 * replica, is ERR_NETWORK. */
MUST_CHECK int redis_run(struct redis *redis, struct error *err);

/* The next reply (or message, of a subscriber), borrowed until the next redis_run; false: none yet.
 */
bool redis_take(struct redis *redis, const struct redis_value **out);

bool redis_is_ready(const struct redis *redis);        /* greeted */
size_t redis_count_pending(const struct redis *redis); /* replies that were not taken */

struct redis_wait {
    int fd; /* -1 while there is none */
    short events;
    int64_t deadline_us; /* monotonic, of the machine's clock; 0: call redis_run at once */
};

void redis_get_wait(const struct redis *redis, struct redis_wait *out);

/* One command and its reply, for commands that block; nothing else may be pending.  *out is
 * borrowed until the next call.  An error reply is a reply: redis_check makes an error of it.
 * Errors: as redis_run; ERR_TIMEOUT leaves the connection failed. */
MUST_CHECK int redis_call(struct redis *redis, const struct str *words, size_t n_words,
                          int64_t timeout_us, const struct redis_value **out, struct error *err);

/* The error that an error reply stands for; 0 for any other reply.  OOM is ERR_DISK_FULL (the
 * server takes no more), READONLY, LOADING, MASTERDOWN, CLUSTERDOWN and TRYAGAIN are ERR_NETWORK,
 * NOAUTH, WRONGPASS and NOPERM ERR_AUTH, WRONGTYPE ERR_CONFIG, MISCONF (disk) ERR_DISK_FULL, others
 * ERR_IO. */
MUST_CHECK int redis_check(const struct redis_value *reply, struct error *err);

/* A Lua script and its SHA-1.  Who uses scripts sends SCRIPT LOAD for each as the first commands of
 * a connection, EVALSHA after that; a NOSCRIPT reply (somebody said SCRIPT FLUSH) is ERR_NETWORK to
 * redis_check: open a new connection. */
struct redis_script {
    const char *text;
    char sha1[41];
};
MUST_CHECK int redis_script_init(struct redis_script *out, const char *text, struct error *err);
