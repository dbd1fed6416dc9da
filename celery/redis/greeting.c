/* What is said first: who we are, which database, and whether this is the server we want.
 *
 * To a server: AUTH, SELECT, CLIENT SETNAME, ROLE, PING (which a server that loads its data
 * refuses, while it answers all of the others).  To a Sentinel: AUTH, and where the master is.
 * Source: redis.io, "Guidelines for Redis clients with support for Redis Sentinel". */

#include "celery/redis/connection.h"

#include <stdio.h>

static int
say(struct redis *redis, enum redis_step step, const struct str *words, size_t n_words,
    struct error *err)
{
    redis->steps[redis->n_steps++] = step;
    return resp_encode(words, n_words, &redis->hello.buf, err);
}

/* A password alone is what servers before 6 know. */
static int
say_auth(struct redis *redis, struct str user, struct str password, struct error *err)
{
    const struct str words[] = {STR("AUTH"), user, password};
    const struct str old_words[] = {STR("AUTH"), password};

    if (user.ptr)
        return say(redis, STEP_AUTH, words, COUNT_OF(words), err);
    if (password.ptr)
        return say(redis, STEP_AUTH, old_words, COUNT_OF(old_words), err);
    return 0;
}

static int
greet_sentinel(struct redis *redis, struct error *err)
{
    const struct redis_address *address = redis->address;
    const struct str words[] = {STR("SENTINEL"), STR("get-master-addr-by-name"),
                                address->master_name};
    int rc = say_auth(redis, address->sentinel_user, address->sentinel_password, err);

    return rc < 0 ? rc : say(redis, STEP_MASTER, words, COUNT_OF(words), err);
}

static int
greet_server(struct redis *redis, struct error *err)
{
    const struct redis_address *address = redis->address;
    char database[24];
    const struct str select[] = {
        STR("SELECT"),
        {database,
         (size_t)snprintf(database, sizeof(database), "%lld", (long long)address->database)},
    };
    const struct str name[] = {STR("CLIENT"), STR("SETNAME"), str_from_cstr(redis->client_name)};
    int rc = say_auth(redis, address->user, address->password, err);

    if (rc == 0 && address->database != 0)
        rc = say(redis, STEP_SELECT, select, COUNT_OF(select), err);
    if (rc == 0 && redis->client_name[0])
        rc = say(redis, STEP_NAME, name, COUNT_OF(name), err);
    if (rc == 0)
        rc = say(redis, STEP_ROLE, &STR("ROLE"), 1, err);
    if (rc == 0)
        rc = say(redis, STEP_PING, &STR("PING"), 1, err);
    return rc;
}

int
redis_greeting_start(struct redis *redis, struct error *err)
{
    buf_clear(&redis->hello.buf);
    redis->hello.at = 0;
    redis->n_steps = 0;
    redis->n_steps_done = 0;
    return redis->is_sentinel ? greet_sentinel(redis, err) : greet_server(redis, err);
}

static bool
has_word(const struct redis_value *reply, struct str word)
{
    return reply->kind == REDIS_ERROR && str_starts_with(reply->text, word);
}

/* What makes any step fail: the others of a server's errors depend on the step.  Replies to AUTH
 * are not quoted: old servers repeat the words of a command that they refuse. */
static int
check_common(const struct redis_value *reply, struct error *err)
{
    if (has_word(reply, STR("NOAUTH")))
        return error_set(err, ERR_AUTH, "the server wants a password, and the URL has none");
    if (has_word(reply, STR("LOADING")))
        return error_set(err, ERR_NETWORK, "the server is loading its data");
    if (has_word(reply, STR("MASTERDOWN")))
        return error_set(err, ERR_NETWORK, "the server is a replica without its master");
    if (has_word(reply, STR("ERR max number of clients")))
        return error_set(err, ERR_NETWORK, "the server has too many clients");
    return 0;
}

static int
hear_auth(const struct redis_value *reply, struct error *err)
{
    if (reply->kind != REDIS_ERROR)
        return 0;
    if (has_word(reply, STR("WRONGPASS")) || has_word(reply, STR("ERR invalid password")))
        return error_set(err, ERR_AUTH, "the server refuses user and password");
    if (has_word(reply, STR("ERR wrong number")))
        return error_set(err, ERR_AUTH,
                         "the server is older than 6.0 and knows no users: give a"
                         " password only");
    return error_set(err, ERR_AUTH, "the server refuses the password, or has none set");
}

static int
hear_role(const struct redis_value *reply, struct error *err)
{
    struct str role = STR_NULL;

    if (reply->kind == REDIS_ARRAY && reply->n_items > 0)
        role = reply->items[0].text;
    if (str_equal(role, STR("sentinel")))
        return error_set(err, ERR_CONFIG,
                         "this is a Sentinel: use sentinel://host:port?master_name=NAME");
    if (str_equal(role, STR("slave")))
        return error_set(err, ERR_NETWORK, "the server is a replica, which takes no writes");
    return 0; /* a master; or a server that does not let us ask */
}

static int
hear_master(struct redis *redis, const struct redis_value *reply, struct error *err)
{
    if (reply->kind == REDIS_ARRAY && reply->n_items == 2)
        return redis_resolve_master(redis, reply->items[0].text, reply->items[1].text, err);
    return error_set(err, ERR_NETWORK, "the Sentinel knows no master '%.*s'",
                     STR_ARG(str_slice(redis->address->master_name, 0, 80)));
}

int
redis_greeting_hear(struct redis *redis, const struct redis_value *reply, struct error *err)
{
    int rc = check_common(reply, err);

    if (rc < 0)
        return rc;
    switch (redis->steps[redis->n_steps_done++]) {
    case STEP_AUTH:
        return hear_auth(reply, err);
    case STEP_SELECT:
        if (reply->kind == REDIS_ERROR && !has_word(reply, STR("NOPERM")))
            return error_set(err, ERR_CONFIG, "the server has no database %lld",
                             (long long)redis->address->database);
        return redis_check(reply, err);
    case STEP_ROLE:
        return hear_role(reply, err);
    case STEP_MASTER:
        return hear_master(redis, reply, err);
    case STEP_NAME: /* a convenience for whoever reads CLIENT LIST */
    case STEP_PING:
        break;
    }
    return 0;
}
