/* The container's parts that embed and search. */

#include "lib/core/container_state.h"

#include <limits.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/number.h"
#include "encoder/cpu_count.h"
#include "lib/services/ml/embedder.h"
#include "lib/services/search/vector_index.h"

#define THREADS_MAX 1024

static int
refuse_setting(const struct container *app, enum config_key key, const char *wanted,
               struct error *err)
{
    struct str value = config_get(app->config, key);

    return error_set(err, ERR_CONFIG, "%s must be %s, got '%.*s' (from %.*s)", config_name(key),
                     wanted, STR_ARG(str_slice(value, 0, 64)),
                     STR_ARG(config_origin(app->config, key)));
}

static size_t
share_of_cores(const struct container *app)
{
    size_t n_threads = cpu_count() / app->n_sharers;

    return n_threads ? n_threads : 1;
}

int
container_get_embedder_options(const struct container *app, struct embedder_options *out,
                               struct error *err)
{
    struct embedder_options options = {
        .models_dir = config_get(app->config, CONFIG_MODELS_DIR),
        .model = config_get(app->config, CONFIG_EMBEDDING_MODEL),
        .cache_dir = config_get(app->config, CONFIG_CACHE_DIR),
        .query_prompt = config_get(app->config, CONFIG_EMBEDDING_QUERY_PROMPT),
        .document_prompt = config_get(app->config, CONFIG_EMBEDDING_DOCUMENT_PROMPT),
    };
    int64_t n_threads = 0;
    int rc = config_get_i64(app->config, CONFIG_EMBEDDING_THREADS, 0, THREADS_MAX, &n_threads, err);

    if (rc < 0)
        return rc;
    options.n_threads = n_threads ? (size_t)n_threads : share_of_cores(app);
    if (encoder_precision_parse(config_get(app->config, CONFIG_EMBEDDING_PRECISION),
                                &options.precision, NULL) < 0)
        return refuse_setting(app, CONFIG_EMBEDDING_PRECISION, "auto, f32, bf16 or int8", err);
    if (number_parse_f64(config_get(app->config, CONFIG_EMBEDDING_MIN_COSINE), &options.min_cosine,
                         NULL) < 0 ||
        !(options.min_cosine > 0 && options.min_cosine <= 1))
        return refuse_setting(app, CONFIG_EMBEDDING_MIN_COSINE, "above 0 and at most 1", err);
    *out = options;
    return 0;
}

int
container_get_embedder(struct container *app, struct embedder **out, struct error *err)
{
    struct embedder_options options;
    int rc = 0;

    if (!app->embedder) {
        rc = container_get_embedder_options(app, &options, err);
        if (rc == 0)
            rc = embedder_open(&options, &app->embedder, err);
    }
    if (rc == 0)
        *out = app->embedder;
    return rc;
}

/* The index of the vectors that are searched, in a file beside the database. */
static int
get_vectors(struct container *app, enum container_access access, struct error *err)
{
    CLEANUP(buf_fini) struct buf path = BUF_INIT(PATH_MAX + 64);
    struct vector_index_options options = {0};
    struct embedder_options embedding;
    int rc;

    if (app->vectors)
        return 0;
    rc = container_get_datasets(app, access, &options.datasets, err);
    if (rc == 0)
        rc = container_get_embedder_options(app, &embedding, err);
    if (rc < 0)
        return rc;
    buf_printf(&path, "%s-vectors", database_path(app->database));
    buf_append_char(&path, '\0');
    rc = buf_status(&path, err);
    if (rc < 0)
        return rc;
    options.path = path.ptr;
    options.n_threads = embedding.n_threads;
    return vector_index_create(&options, &app->vectors, err);
}

/* New vectors are written where searches read them.  They can do that themselves, so it is no
 * failure of the run. */
static void
publish_vectors(void *context)
{
    struct container *app = context;
    struct arena arena = ARENA_INIT(CONTAINER_ARENA_BYTES);
    struct dataset_vector_state state;
    struct error err = {0};
    int rc = get_vectors(app, CONTAINER_WRITES, &err);

    if (rc == 0)
        rc = dataset_repo_vector_state(app->datasets, &arena, &state, &err);
    if (rc == 0 && str_equal(state.active, app->embedder->model))
        rc = vector_index_refresh(app->vectors, state.active, app->embedder->dim,
                                  VECTOR_UPKEEP_WHOLE, &err);
    if (rc < 0)
        log_warning("vectors not written for search, the next one does it: reason=%s", err.message);
    arena_fini(&arena);
}

int
container_get_embedding_processor(struct container *app, struct embedding_processor **out,
                                  struct error *err)
{
    struct embedding_processor *service = &app->embedding_processor;
    int rc = container_get_datasets(app, CONTAINER_WRITES, &service->datasets, err);

    if (rc == 0)
        rc = container_get_embedder(app, &service->embedder, err);
    if (rc < 0)
        return rc;
    service->database = app->database;
    service->location = config_get(app->config, CONFIG_EMBEDDING_MODEL);
    service->on_vectors = publish_vectors;
    service->context = app;
    service->clock = app->clock;
    *out = service;
    return 0;
}

/* The model of the vectors that are searched, where the settings had it when they were made: it may
 * be another one than the settings name now. */
static int
open_query_embedder(struct container *app, const struct dataset_vector_state *state,
                    struct error *err)
{
    struct embedder_options options;
    struct error why = {0};
    int rc = container_get_embedder_options(app, &options, err);

    if (rc == 0)
        rc = embedder_precision_of(state->active, &options.precision, err);
    if (rc < 0)
        return rc;
    options.model = state->active_location;
    options.vectors = state->active;
    if (embedder_open(&options, &app->query_embedder, &why) == 0)
        return 0;
    return error_set(err, ERR_CONFIG,
                     "the vectors are of model '%.*s', which cannot be opened: put it back, or run "
                     "'trawl run enrich.generate_embeddings --drain' with another (%.100s)",
                     STR_ARG(str_slice(state->active_location, 0, 60)), why.message);
}

static int
get_query_embedder(struct container *app, struct embedder **out, struct error *err)
{
    struct arena arena = ARENA_INIT(CONTAINER_ARENA_BYTES);
    struct dataset_vector_state state;
    int rc = dataset_repo_vector_state(app->datasets, &arena, &state, err);

    if (rc == 0 && app->embedder && str_equal(state.active, app->embedder->model)) {
        *out = app->embedder;
    } else if (rc == 0 && state.active_location.len) {
        if (!app->query_embedder)
            rc = open_query_embedder(app, &state, err);
        if (rc == 0)
            *out = app->query_embedder;
    } else if (rc == 0) {
        rc = container_get_embedder(app, out, err);
    }
    arena_fini(&arena);
    return rc;
}

static int
get_weight(const struct container *app, enum config_key key, double *out, struct error *err)
{
    if (number_parse_f64(config_get(app->config, key), out, NULL) < 0 || *out < 0 || *out > 100)
        return refuse_setting(app, key, "from 0 to 100", err);
    return 0;
}

static int
read_weights(const struct container *app, struct fusion_weights *out, struct error *err)
{
    int rc = get_weight(app, CONFIG_SEARCH_KEYWORD_WEIGHT, &out->keyword, err);

    if (rc == 0)
        rc = get_weight(app, CONFIG_SEARCH_DENSE_WEIGHT, &out->dense, err);
    if (rc == 0)
        rc = get_weight(app, CONFIG_SEARCH_PRIOR_WEIGHT, &out->prior, err);
    if (rc == 0 && out->keyword <= 0 && out->dense <= 0)
        rc = error_set(err, ERR_CONFIG, "%s and %s are both 0: a search needs one of them",
                       config_name(CONFIG_SEARCH_KEYWORD_WEIGHT),
                       config_name(CONFIG_SEARCH_DENSE_WEIGHT));
    return rc;
}

int
container_get_search(struct container *app, struct search_service **out, struct error *err)
{
    struct search_service *service = &app->search;
    struct error why = {0};
    int rc = container_get_datasets(app, CONTAINER_READS, &service->datasets, err);

    if (rc == 0)
        rc = read_weights(app, &service->weights, err);
    if (rc == 0)
        rc = get_vectors(app, CONTAINER_READS, err);
    if (rc < 0)
        return rc;
    if (get_query_embedder(app, &service->embedder, &why) < 0) {
        service->embedder = NULL;
        (void)snprintf(app->why_no_embedder, sizeof(app->why_no_embedder), "%s", why.message);
        service->why_no_embedder = str_from_cstr(app->why_no_embedder);
    }
    service->index = app->vectors;
    service->clock = app->clock;
    *out = service;
    return 0;
}
