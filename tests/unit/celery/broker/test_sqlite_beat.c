/* Beat's store on SQLite in the suite that every store passes. */

#include "tests/unit/celery/broker/beat_suite.h"

#include "tests/unit/celery/broker/party.h"

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

int
main(void)
{
    static const struct beat_factory factory = {set_up, tear_down};

    return beat_suite_run(&factory, NULL);
}
