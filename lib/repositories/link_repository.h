#pragma once

/* Which datasets are to be checked, and what was found: table `dataset_links`, and the columns
 * link_state, last_checked_at and is_active of `datasets`.
 *
 * Transactions belong to the caller. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "base/database.h"
#include "lib/models/link.h"
#include "lib/repositories/dataset_repository.h"

/* Lease up to limit rows whose time has come (in doubt, put off, or gone and to be tried again):
 * next_at up to now_us, earliest first.  Rows under a living lease are passed over.  out lives in
 * the arena.  Errors: ERR_INVALID (owner, limit, an unknown state), ERR_NOMEM, of the database. */
MUST_CHECK int link_repo_claim_due(struct database *database, int64_t limit,
                                   const struct lease *lease, int64_t now_us, struct arena *arena,
                                   struct link_list *out, struct error *err);

/* Lease up to limit active rows that wait for no moment of their own and whose last check, if any,
 * was up to checked_until_us; the stalest first. */
MUST_CHECK int link_repo_claim_stale(struct database *database, int64_t limit,
                                     int64_t checked_until_us, const struct lease *lease,
                                     int64_t now_us, struct arena *arena, struct link_list *out,
                                     struct error *err);

/* Store a verdict and end the lease.  A row that becomes gone is hidden, one that no longer is
 * comes back; otherwise is_active stays.
 *
 * before  the state that the row was claimed with
 *
 * Errors: ERR_NOT_FOUND, nothing changed, when the lease is lost or the source has changed the
 * row's state meanwhile; those of the database. */
MUST_CHECK int link_repo_save(struct database *database, int64_t row_id, struct str owner,
                              enum link_state before, const struct link_status *status,
                              int64_t now_us, struct error *err);

/* End the lease without a verdict; next_at_us LINK_NEVER: the row stays where it was in line.
 * Errors: ERR_NOT_FOUND when the lease is lost. */
MUST_CHECK int link_repo_put_off(struct database *database, int64_t row_id, struct str owner,
                                 int64_t next_at_us, struct error *err);

/* End every lease of an owner; n_released may be NULL. */
MUST_CHECK int link_repo_release(struct database *database, struct str owner, int64_t *n_released,
                                 struct error *err);

/* Has another active row of the source the same external_id? */
MUST_CHECK int link_repo_is_name_taken(struct database *database, int64_t row_id, bool *out,
                                       struct error *err);

/* Rows of a source that are active, and those that became gone since a moment. */
MUST_CHECK int link_repo_count(struct database *database, struct str source_name,
                               int64_t gone_since_us, int64_t *n_active, int64_t *n_gone,
                               struct error *err);
