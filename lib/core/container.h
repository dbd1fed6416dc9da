#pragma once

/* The composition root's box: the one place that knows which parts exist and how they fit together.
 *
 * Parts open when first asked for, so a command pays for what it uses and a worker's child opens
 * its own after fork.  Not thread-safe. */

#include <trawl/error.h>

#include "base/clock.h"
#include "base/database.h"
#include "lib/core/config.h"
#include "lib/models/run_context.h"
#include "lib/repositories/dataset_repository.h"

struct cleanup_service;
struct container;
struct embedder;
struct embedder_options;
struct embedding_processor;
struct hf_fetch_service;
struct http_client;
struct kaggle_enrich_service;
struct kaggle_latest_service;
struct kaggle_seed_service;
struct link_checker;
struct search_service;
struct static_score_calculator;

/* How a command wants its database. */
enum container_access {
    CONTAINER_READS,  /* it must exist */
    CONTAINER_WRITES, /* it is made, and a new one migrated, when missing */
};

/* config and is_cancelled's context are borrowed for the container's life.  is_cancelled may be
 * NULL; it is asked during waits and transfers, and must be cheap. */
MUST_CHECK int container_create(const struct config *config, bool (*is_cancelled)(void *context),
                                void *cancel_context, struct container **out, struct error *err);
void container_free(struct container *app);
void container_freep(struct container **app);

const struct config *container_config(const struct container *app);
const struct clock *container_clock(const struct container *app);

/* "host:pid:start": the owner of this process's leases; of a thread's, where threads have
 * containers of their own: the number is the thread's then. */
struct str container_worker_id(const struct container *app);

/* How many processes or threads share this machine's cores with us, ourselves included: parts that
 * compute take so many threads the less, unless embedding.threads says how many.  1 until it is
 * called; before the parts are asked for. */
void container_set_share(struct container *app, size_t n_sharers);

/* Which run the services work for; set by the task runner, read by the tasks. */
struct run_context *container_run(struct container *app);

/* The settings under embedding.*; the strings are the configuration's.
 * Errors: ERR_CONFIG, naming setting, value and origin. */
MUST_CHECK int container_get_embedder_options(const struct container *app,
                                              struct embedder_options *out, struct error *err);

/* Each opens its part on the first call and lends it.  Errors: of that part, and of what it needs.
 */
MUST_CHECK int container_get_database(struct container *app, enum container_access access,
                                      struct database **out, struct error *err);
MUST_CHECK int container_get_datasets(struct container *app, enum container_access access,
                                      struct dataset_repo **out, struct error *err);
MUST_CHECK int container_get_http(struct container *app, struct http_client **out,
                                  struct error *err);
MUST_CHECK int container_get_embedder(struct container *app, struct embedder **out,
                                      struct error *err);
MUST_CHECK int container_get_embedding_processor(struct container *app,
                                                 struct embedding_processor **out,
                                                 struct error *err);
MUST_CHECK int container_get_hf_fetch(struct container *app, struct hf_fetch_service **out,
                                      struct error *err);
MUST_CHECK int container_get_kaggle_seed(struct container *app, struct kaggle_seed_service **out,
                                         struct error *err);
MUST_CHECK int container_get_kaggle_enrich(struct container *app,
                                           struct kaggle_enrich_service **out, struct error *err);
MUST_CHECK int container_get_kaggle_latest(struct container *app,
                                           struct kaggle_latest_service **out, struct error *err);

MUST_CHECK int container_get_link_checker(struct container *app, struct link_checker **out,
                                          struct error *err);
MUST_CHECK int container_get_static_score(struct container *app,
                                          struct static_score_calculator **out, struct error *err);
MUST_CHECK int container_get_cleanup(struct container *app, struct cleanup_service **out,
                                     struct error *err);

/* Works without a model, by keywords alone: its answers then say what is missing. */
MUST_CHECK int container_get_search(struct container *app, struct search_service **out,
                                    struct error *err);
