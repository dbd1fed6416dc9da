#pragma once

/* The inside of the container, for its files alone. */

#include "base/arena.h"
#include "lib/core/container.h"
#include "lib/services/enrichment/hf_parser/hf_fetch_service.h"
#include "lib/services/enrichment/kaggle_parser/enrich_service.h"
#include "lib/services/enrichment/kaggle_parser/kaggle_credentials.h"
#include "lib/services/enrichment/kaggle_parser/latest_service.h"
#include "lib/services/enrichment/kaggle_parser/seed_service.h"
#include "lib/services/ml/embedding_processor.h"
#include "lib/services/scoring/static_score_calculator.h"
#include "lib/services/search/search_service.h"
#include "lib/services/validation/cleanup_service.h"
#include "lib/services/validation/link_checker.h"

#define CONTAINER_ARENA_BYTES ((size_t)1 << 20)

struct container {
    const struct config *config;
    const struct clock *clock;
    bool (*is_cancelled)(void *context);
    void *cancel_context;
    struct arena arena; /* credentials and URLs */
    char worker_id[160];
    size_t n_sharers; /* of the cores */
    struct run_context run;

    struct database *database;
    struct dataset_repo *datasets;
    struct http_client *http;
    struct hf_client *hf_client;
    struct kaggle_client *kaggle_client;
    struct kaggle_credentials kaggle_credentials;
    struct kaggle_dump_downloads *kaggle_dumps;
    struct embedder *embedder;       /* of the settings */
    struct embedder *query_embedder; /* of the vectors that are searched, where that is another */
    struct vector_index *vectors;

    struct hf_fetch_service hf_fetch;
    struct kaggle_seed_service kaggle_seed;
    struct kaggle_enrich_service kaggle_enrich;
    struct kaggle_latest_service kaggle_latest;
    struct embedding_processor embedding_processor;
    struct search_service search;
    struct static_score_calculator static_score;
    struct link_checker link_checker;
    struct cleanup_service cleanup;
    char why_no_embedder[sizeof(((struct error *)0)->message)];
};
