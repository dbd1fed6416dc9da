/* The suite of all result backends on SQLite. */

#include "tests/unit/celery/backend/backend_suite.h"

#include "tests/unit/celery/backend/sqlite_place.h"

int
main(void)
{
    static const struct backend_factory factory = {sqlite_place_create, sqlite_place_destroy};

    return backend_suite_run(&factory);
}
