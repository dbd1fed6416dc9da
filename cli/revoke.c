/* The ids at the broker, and their state in the result backend. */

#include "cli/revoke.h"

#include <stdio.h>

#include "celery/backend/backend.h"
#include "celery/broker/broker.h"
#include "celery/control/node.h"
#include "celery/control/revoked_store.h"
#include "celery/control/stamps.h"

#define OPEN_US      US_PER_S /* half of it for the command */
#define STAMPS_BYTES ((size_t)4 << 20)

/* The key of one "HEADER=VALUE". */
static int
read_stamp(struct str word, struct arena *arena, struct str *out, struct error *err)
{
    size_t at = str_find_char(word, '=');
    struct json_member member = {.name = str_slice(word, 0, at)};
    struct json headers = {.type = JSON_OBJECT};
    struct str *keys;
    size_t n_keys;
    int rc;

    if (at == 0 || at == word.len)
        return error_set(err, ERR_ARGS, "a stamp is HEADER=VALUE, got '%.*s'",
                         STR_ARG(str_slice(word, 0, 64)));
    member.value = (struct json){.type = JSON_STRING, .text = str_slice(word, at + 1, word.len)};
    headers.object.members = &member;
    headers.object.n_members = 1;
    rc = stamps_list_keys(&headers, 1, arena, &keys, &n_keys, err);
    if (rc == 0)
        *out = keys[0];
    return rc;
}

static int
read_stamps(const struct cli_revocation *revocation, struct arena *arena, struct str *out,
            struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < revocation->n_words; i++)
        rc = read_stamp(revocation->words[i], arena, &out[i], err);
    return rc;
}

int
cli_revoke_in_broker(const struct cli *cli, const struct cli_revocation *revocation,
                     struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(STAMPS_BYTES);
    CLEANUP(broker_closep) struct broker *broker = NULL;
    struct broker_options options = {
        .must_exist = true, .max_open_us = OPEN_US, .max_command_us = OPEN_US / 2};
    const struct str *ids = revocation->words;
    int rc = 0;

    if (revocation->is_by_stamps) {
        struct str *keys = arena_calloc(&arena, revocation->n_words, sizeof(*keys));

        rc = keys ? read_stamps(revocation, &arena, keys, err)
                  : error_set(err, ERR_NOMEM, "no memory for %zu stamps", revocation->n_words);
        ids = keys;
    }
    if (rc == 0)
        rc = broker_open(config_get(cli->config, CONFIG_BROKER_URL), &options, &broker, err);
    if (rc == 0)
        rc = broker_revoke(broker, ids, revocation->n_words,
                           clock_now_us(&clock_system) + CONTROL_REVOKED_US, err);
    return rc;
}

static int
store(const struct cli *cli, const struct cli_revocation *revocation, struct error *err)
{
    CLEANUP(backend_closep) struct backend *backend = NULL;
    const struct backend_options options = {.max_block_us = OPEN_US};
    int rc = backend_open(config_get(cli->config, CONFIG_RESULT_BACKEND), &options, &backend, err);

    for (size_t i = 0; rc == 0 && i < revocation->n_words; i += REVOKED_STORE_MAX)
        rc = revoked_store(backend, revocation->words + i, revocation->n_words - i,
                           REVOKED_OVER_STARTED, STR_NULL, err);
    return rc;
}

int
cli_revoke_alone(const struct cli *cli, const struct cli_revocation *revocation, struct error *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct error trouble = {0};
    size_t n = revocation->n_words;

    if (!revocation->is_by_stamps && store(cli, revocation, &trouble) < 0)
        (void)fprintf(stderr, "trawl: the state is not stored yet: %s\n", trouble.message);
    if (cli->json)
        buf_append(&out, STR("{}"));
    else
        buf_printf(&out, "no node is online: the broker will tell those that come (%zu %s%s)", n,
                   revocation->is_by_stamps ? "stamp" : "task", n == 1 ? "" : "s");
    return cli_print(&out, err);
}
