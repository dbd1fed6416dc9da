#pragma once

/* A connection with all that it borrows, for the tests of celery/redis/redis.h. */

#include "celery/redis/redis.h"
#include "tests/unit/celery/redis/redis_server.h"
#include "tests/unit/check.h"

#define FIXTURE_WAIT_US (10 * US_PER_S)

struct redis_fixture {
    struct arena arena;
    struct redis_address address;
    struct redis *redis;
    struct error err;
};

/* options may be NULL.  The address outlives the connection within *self. */
void redis_fixture_open(struct redis_fixture *self, const char *url,
                        const struct redis_options *options);
void redis_fixture_close(struct redis_fixture *self);

/* One command of words by spaces, and its reply or the error in self->err. */
int redis_fixture_call(struct redis_fixture *self, const char *text,
                       const struct redis_value **out);

/* As above; the test fails where the connection does. */
const struct redis_value *redis_fixture_ask(struct redis_fixture *self, const char *text);

/* Append a command of words by spaces. */
void redis_fixture_command(struct redis_fixture *self, const char *text);

/* Run until a reply or message is there, or the connection fails: 0 or its error. */
int redis_fixture_next(struct redis_fixture *self, const struct redis_value **out);
