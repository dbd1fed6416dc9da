/* URLs of Redis servers from a hostile configuration: celery/redis/redis.h. */

#include <stdlib.h>

#include "celery/redis/redis.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)256 << 10)

static void
insist(bool is_true)
{
    if (!is_true)
        abort();
}

static bool
has_nul(struct str text)
{
    return text.len > 0 && memchr(text.ptr, '\0', text.len);
}

static void
check_address(const struct redis_address *address, struct arena *arena)
{
    char text[REDIS_TEXT_BYTES];
    struct str value;

    insist(address->transport == REDIS_UNIX ? address->n_hosts == 0 && address->path.len > 0
                                            : address->n_hosts > 0);
    insist(address->n_hosts <= REDIS_MAX_HOSTS && address->database >= 0);
    insist(address->n_hosts <= 1 || address->master_name.len > 0);
    for (size_t i = 0; i < address->n_hosts; i++)
        insist(address->hosts[i].name.len > 0 && !has_nul(address->hosts[i].name) &&
               address->hosts[i].name.ptr[address->hosts[i].name.len] == '\0' &&
               address->hosts[i].port > 0);
    insist(!has_nul(address->path) && !has_nul(address->user) && !has_nul(address->password));
    insist(!address->cert_file.ptr == !address->key_file.ptr);
    insist(strlen(redis_address_format(address, text)) < REDIS_TEXT_BYTES);
    if (redis_address_option(address, STR("global_keyprefix"), arena, &value, NULL) == 0)
        insist(!has_nul(value));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct redis_address address;
    struct error err;
    int rc = redis_address_parse((struct str){(const char *)data, size}, &arena, &address, &err);

    if (rc == 0)
        check_address(&address, &arena);
    else
        insist(rc == -ERR_CONFIG || rc == -ERR_NOMEM);
    arena_fini(&arena);
    return 0;
}
