/* The Redis broker in the suite that every broker passes. */

#include "tests/unit/celery/broker/conformance.h"

#include "tests/unit/celery/redis/redis_server.h"

static struct redis_server *server;

static void
set_up(char url[256])
{
    server = redis_server_start(NULL);
    (void)snprintf(url, 256, "%s", redis_server_url(server, "/1"));
}

static void
tear_down(void)
{
    redis_server_stop(server);
    server = NULL;
}

/* Nothing: who is dead does not renew its lease, and the tests let the time pass. */
static void
abandon(struct broker *broker)
{
    (void)broker;
}

int
main(void)
{
    static const struct broker_factory factory = {set_up, tear_down, abandon, &party_wire_envelope};

    return conformance_run(&factory);
}
