/* The SQLite broker in the suite that every broker passes. */

#include "tests/unit/celery/broker/conformance.h"

#include "celery/broker/sqlite_internal.h"

static char dir[64];

static void
set_up(char url[256])
{
    test_dir_make(dir);
    (void)snprintf(url, 256, "sqlite:///%s/broker.db", dir);
}

static void
tear_down(void)
{
    test_dir_remove(dir);
}

/* What the kernel does when a process dies. */
static void
abandon(struct broker *broker)
{
    live_file_release(&sqlite_broker_from(broker)->live);
}

int
main(void)
{
    static const struct broker_factory factory = {set_up, tear_down, abandon, NULL};

    return conformance_run(&factory);
}
