#pragma once

/* A server, two handles on it with one clock, and a connection for raw commands, for the tests of
 * what only the Redis broker does. */

#include "celery/broker/redis_internal.h"
#include "tests/unit/celery/broker/party.h"
#include "tests/unit/celery/redis/redis_server.h"

struct redis_setting {
    struct redis_server *server;
    const char *url;
    struct fake_clock clock;
    struct party a;
    struct party b;
    struct arena arena;
    struct redis_address address;
    struct redis *raw; /* on the database of url */
};

/* Two parties on database 1 with tail's options ("?sep=:"), on the test's clock. */
struct redis_setting *redis_setting_open(const char *tail);
/* The same on the machine's clock; options may be NULL. */
struct redis_setting *redis_setting_open_real(const char *tail,
                                              const struct redis_server_options *options);
void redis_setting_close(struct redis_setting *self);

/* A raw command; its reply is borrowed until the next.  The last word is followed by STR_NULL. */
const struct redis_value *redis_setting_say(struct redis_setting *self, const struct str *words);
#define SAY(self, ...) redis_setting_say((self), (const struct str[]){__VA_ARGS__, {NULL, 0}})

/* Integer or text of a reply as text; "" for nil. */
struct str redis_setting_text(const struct redis_value *reply);
int64_t redis_setting_count(struct redis_setting *self, const char *verb, const char *key);

/* A Celery message with this text, as the parties send it. */
struct str redis_setting_envelope(struct redis_setting *self, const char *queue, const char *text);

/* Rounds, waiting in between as it asks for, until *n reaches at_least; the test fails after
 * timeout_us. */
void redis_setting_run_until(struct party *party, const size_t *n, size_t at_least,
                             int64_t timeout_us);
