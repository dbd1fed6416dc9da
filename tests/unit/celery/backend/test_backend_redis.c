/* The suite of all result backends on Redis: over TCP with a database and a prefix. */

#include "tests/unit/celery/backend/backend_suite.h"
#include "tests/unit/celery/redis/redis_server.h"

static struct redis_server *server;

static void
create(struct backend_place *place)
{
    server = redis_server_start(NULL);
    (void)snprintf(place->url, sizeof(place->url), "%s",
                   redis_server_url(server, "/3?global_keyprefix=app"));
}

static void
destroy(struct backend_place *place)
{
    (void)place;
    redis_server_stop(server);
}

int
main(void)
{
    static const struct backend_factory factory = {
        .create = create, .destroy = destroy, .is_self_cleaning = true};

    return backend_suite_run(&factory);
}
