#pragma once

/* Table `link_hosts`: pauses, outages and habits of the hosts that are checked. */

#include <stdint.h>

#include <trawl/error.h>

#include "base/database.h"
#include "lib/models/link.h"

/* Fill host, whose origin is set, from its row; a host without one is as link_host_init leaves it.
 */
MUST_CHECK int link_host_repo_load(struct database *database, struct link_host *host,
                                   struct error *err);

/* Insert or replace the whole row. */
MUST_CHECK int link_host_repo_save(struct database *database, const struct link_host *host,
                                   int64_t now_us, struct error *err);
