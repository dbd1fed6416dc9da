/* Opens each part once, when it is first needed, from the settings.
 *
 * The parts of a source stand in one struct below with everything that they own; the whole box
 * closes in the reverse order of opening. */

#include "lib/core/container_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/core/catalogue_schema.h"
#include "lib/core/http.h"
#include "lib/core/http_headers.h"
#include "lib/services/enrichment/hf_parser/client_hf.h"
#include "lib/services/enrichment/hf_parser/hf_credentials.h"
#include "lib/services/enrichment/hf_parser/hf_fetch_service.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"
#include "lib/services/enrichment/kaggle_parser/dump_fetcher.h"
#include "lib/services/enrichment/kaggle_parser/enrich_service.h"
#include "lib/services/enrichment/kaggle_parser/kaggle_credentials.h"
#include "lib/services/enrichment/kaggle_parser/latest_service.h"
#include "lib/services/enrichment/kaggle_parser/seed_service.h"
#include "lib/services/ml/embedder.h"
#include "lib/services/ml/embedding_processor.h"
#include "lib/services/search/search_service.h"
#include "lib/services/search/vector_index.h"
#include "lib/services/validation/cleanup_service.h"
#include "lib/services/validation/link_checker.h"

#define CONTAINER_ARENA_BYTES ((size_t)1 << 20)
#define THREADS_MAX           1024
#define TRUSTED_MAX           16 /* origins */

static void
name_worker(struct container *app)
{
    char host[64] = "localhost";

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(app->worker_id, sizeof(app->worker_id), "%s:%d:%" PRId64, host, (int)gettid(),
                   clock_now_us(app->clock));
}

int
container_create(const struct config *config, bool (*is_cancelled)(void *context),
                 void *cancel_context, struct container **out, struct error *err)
{
    struct container *app = calloc(1, sizeof(*app));

    if (!app)
        return error_set(err, ERR_NOMEM, "no memory to start");
    app->config = config;
    app->clock = &clock_system;
    app->n_sharers = 1;
    app->is_cancelled = is_cancelled;
    app->cancel_context = cancel_context;
    app->arena = (struct arena)ARENA_INIT(CONTAINER_ARENA_BYTES);
    name_worker(app);
    app->run.worker_id = str_from_cstr(app->worker_id);
    *out = app;
    return 0;
}

void
container_free(struct container *app)
{
    if (!app)
        return;
    vector_index_free(app->vectors);
    embedder_free(app->query_embedder);
    embedder_free(app->embedder);
    kaggle_dump_downloads_free(app->kaggle_dumps);
    kaggle_client_free(app->kaggle_client);
    hf_client_free(app->hf_client);
    http_client_free(app->http);
    dataset_repo_free(app->datasets);
    database_close(app->database);
    arena_fini(&app->arena);
    free(app);
}

void
container_freep(struct container **app)
{
    container_free(*app);
}

const struct config *
container_config(const struct container *app)
{
    return app->config;
}

void
container_set_share(struct container *app, size_t n_sharers)
{
    app->n_sharers = n_sharers ? n_sharers : 1;
}

const struct clock *
container_clock(const struct container *app)
{
    return app->clock;
}

struct str
container_worker_id(const struct container *app)
{
    return str_from_cstr(app->worker_id);
}

struct run_context *
container_run(struct container *app)
{
    return &app->run;
}

/* A database that was just made is migrated; an older one waits for 'trawl db migrate'. */
static int
open_database(struct container *app, enum container_access access, struct error *err)
{
    struct str url = config_get(app->config, CONFIG_DATABASE_URL);
    struct database_options options = {
        .schema = &catalogue_schema,
        .may_create = access == CONTAINER_WRITES,
    };
    int64_t version = 0;
    int rc = database_open(url, &options, &app->database, err);

    if (rc == -ERR_NOT_FOUND)
        return error_set(err, ERR_NOT_FOUND,
                         "no catalogue yet at '%.*s': 'trawl run enrich.fetch_hf_datasets' starts "
                         "one",
                         STR_ARG(url));
    if (rc == 0)
        rc = database_schema_version(app->database, &version, err);
    if (rc == 0 && version == 0)
        rc = database_migrate(app->database, NULL, err);
    else if (rc == 0 && version < database_newest_version(app->database))
        rc = error_set(err, ERR_CONFIG,
                       "the catalogue at '%.*s' has schema version %" PRId64
                       ", this program needs %" PRId64 ": run 'trawl db migrate'",
                       STR_ARG(url), version, database_newest_version(app->database));
    if (rc < 0) {
        database_close(app->database);
        app->database = NULL;
    }
    return rc;
}

int
container_get_database(struct container *app, enum container_access access, struct database **out,
                       struct error *err)
{
    int rc = app->database ? 0 : open_database(app, access, err);

    if (rc == 0)
        *out = app->database;
    return rc;
}

int
container_get_datasets(struct container *app, enum container_access access,
                       struct dataset_repo **out, struct error *err)
{
    struct database *database;
    int rc = container_get_database(app, access, &database, err);

    if (rc == 0 && !app->datasets)
        rc = dataset_repo_create(database, &app->datasets, err);
    if (rc == 0)
        *out = app->datasets;
    return rc;
}

/* Addresses that data leads to must be public; what the settings name is trusted as it is. */
static size_t
list_trusted_origins(const struct container *app, struct str out[TRUSTED_MAX])
{
    struct str rest = config_get(app->config, CONFIG_TRUSTED_ORIGINS);
    struct str word;
    size_t n = 0;

    out[n++] = http_url_origin(config_get(app->config, CONFIG_HF_ENDPOINT));
    out[n++] = http_url_origin(config_get(app->config, CONFIG_KAGGLE_ENDPOINT));
    while (n < TRUSTED_MAX && str_split(&rest, ' ', &word)) {
        if (word.len)
            out[n++] = http_url_origin(word);
    }
    return n;
}

static int
check_endpoint(const struct container *app, enum config_key key, struct error *err)
{
    struct str value = config_get(app->config, key);

    if (http_url_origin(value).ptr)
        return 0;
    return error_set(err, ERR_CONFIG, "%s must be an http or https URL, got '%.*s' (from %.*s)",
                     config_name(key), STR_ARG(str_slice(value, 0, 100)),
                     STR_ARG(config_origin(app->config, key)));
}

static int
create_http(struct container *app, struct error *err)
{
    struct str trusted[TRUSTED_MAX];
    struct str contact = config_get(app->config, CONFIG_CONTACT_URL);
    char *user_agent = arena_printf(&app->arena, "trawl/%s%s%.*s", TRAWL_VERSION,
                                    contact.len ? "; +" : "", STR_ARG(contact));
    struct http_options options = {
        .user_agent = str_from_cstr(user_agent),
        .clock = app->clock,
        .is_cancelled = app->is_cancelled,
        .cancel_context = app->cancel_context,
        .reach = HTTP_REACH_PUBLIC,
        .trusted_origins = {trusted, list_trusted_origins(app, trusted)},
    };

    int rc = check_endpoint(app, CONFIG_HF_ENDPOINT, err);

    if (rc == 0)
        rc = check_endpoint(app, CONFIG_KAGGLE_ENDPOINT, err);
    if (rc == 0 && !user_agent)
        rc = error_set(err, ERR_NOMEM, "no memory for the HTTP client");
    return rc < 0 ? rc : http_client_create(&options, &app->http, err);
}

int
container_get_http(struct container *app, struct http_client **out, struct error *err)
{
    int rc = app->http ? 0 : create_http(app, err);

    if (rc == 0)
        *out = app->http;
    return rc;
}

static int
get_hf_client(struct container *app, struct error *err)
{
    struct hf_client_options options = {
        .endpoint = config_get(app->config, CONFIG_HF_ENDPOINT),
        .clock = app->clock,
    };
    struct http_client *http = NULL;
    int rc;

    if (app->hf_client)
        return 0;
    rc = container_get_http(app, &http, err);
    if (rc == 0)
        rc = hf_credentials_find(config_get(app->config, CONFIG_HF_TOKEN), NULL, &app->arena,
                                 &options.token, err);
    if (rc < 0)
        return rc;
    options.transport = hf_transport_http(http);
    return hf_client_create(&options, &app->hf_client, err);
}

int
container_get_hf_fetch(struct container *app, struct hf_fetch_service **out, struct error *err)
{
    struct hf_fetch_service *service = &app->hf_fetch;
    int rc = container_get_datasets(app, CONTAINER_WRITES, &service->datasets, err);

    if (rc == 0)
        rc = get_hf_client(app, err);
    if (rc < 0)
        return rc;
    service->database = app->database;
    service->client = app->hf_client;
    service->clock = app->clock;
    *out = service;
    return 0;
}

static int
find_kaggle_credentials(struct container *app, struct error *err)
{
    struct kaggle_settings settings = {
        .api_token = config_get(app->config, CONFIG_KAGGLE_API_TOKEN),
        .username = config_get(app->config, CONFIG_KAGGLE_USERNAME),
        .key = config_get(app->config, CONFIG_KAGGLE_KEY),
    };
    int rc;

    if (app->kaggle_credentials.authorization.ptr)
        return 0;
    rc = kaggle_credentials_find(&settings, NULL, &app->arena, &app->kaggle_credentials, err);
    if (rc == 0 && app->kaggle_credentials.is_exposed)
        log_warning("Kaggle credentials can be read by others, please chmod 600: file=%.*s",
                    STR_ARG(app->kaggle_credentials.origin));
    return rc;
}

/* The REST door's base: the endpoint and "/api/v1". */
static int
kaggle_rest_url(struct container *app, struct str *out, struct error *err)
{
    struct str endpoint = config_get(app->config, CONFIG_KAGGLE_ENDPOINT);
    char *url;

    while (str_ends_with(endpoint, STR("/")))
        endpoint.len--;
    url = arena_printf(&app->arena, "%.*s/api/v1", STR_ARG(endpoint));
    *out = str_from_cstr(url);
    return url ? 0 : error_set(err, ERR_NOMEM, "no memory for a URL");
}

static int
get_kaggle_client(struct container *app, struct error *err)
{
    struct kaggle_client_options options = {
        .door = KAGGLE_DOOR_REST,
        .clock = app->clock,
        .is_cancelled = app->is_cancelled,
        .cancel_context = app->cancel_context,
    };
    struct http_client *http = NULL;
    int64_t patience_s = 0;
    int rc;

    if (app->kaggle_client)
        return 0;
    rc = container_get_http(app, &http, err);
    if (rc == 0)
        rc = find_kaggle_credentials(app, err);
    if (rc == 0)
        rc = kaggle_rest_url(app, &options.rest_url, err);
    if (rc == 0)
        rc = config_get_i64(app->config, CONFIG_KAGGLE_PACE_MS, 0, 3600000,
                            &options.min_interval_ms, err);
    if (rc == 0)
        rc = config_get_i64(app->config, CONFIG_KAGGLE_PATIENCE_S, 1, 86400, &patience_s, err);
    if (rc < 0)
        return rc;
    options.rate_limit_patience_ms = patience_s * 1000;
    options.transport = kaggle_transport_http(http);
    options.authorization = app->kaggle_credentials.authorization;
    return kaggle_client_create(&options, &app->kaggle_client, err);
}

static int
get_kaggle_dumps(struct container *app, struct error *err)
{
    struct kaggle_dump_downloads_options options = {.cache_dir =
                                                        config_get(app->config, CONFIG_CACHE_DIR)};
    int rc;

    if (app->kaggle_dumps)
        return 0;
    rc = container_get_http(app, &options.http, err);
    if (rc == 0)
        rc = get_kaggle_client(app, err);
    if (rc == 0)
        rc = kaggle_rest_url(app, &options.rest_url, err);
    if (rc == 0)
        rc = config_get_i64(app->config, CONFIG_KAGGLE_PACE_MS, 0, 3600000,
                            &options.min_interval_ms, err);
    if (rc < 0)
        return rc;
    options.authorization = app->kaggle_credentials.authorization;
    options.client = app->kaggle_client;
    return kaggle_dump_downloads_create(&options, &app->kaggle_dumps, err);
}

int
container_get_kaggle_seed(struct container *app, struct kaggle_seed_service **out,
                          struct error *err)
{
    struct kaggle_seed_service *service = &app->kaggle_seed;
    int rc = container_get_datasets(app, CONTAINER_WRITES, &service->datasets, err);

    if (rc == 0)
        rc = get_kaggle_dumps(app, err);
    if (rc < 0)
        return rc;
    service->database = app->database;
    service->dumps = kaggle_dump_downloads_fetcher(app->kaggle_dumps);
    service->clock = app->clock;
    *out = service;
    return 0;
}

int
container_get_kaggle_enrich(struct container *app, struct kaggle_enrich_service **out,
                            struct error *err)
{
    struct kaggle_enrich_service *service = &app->kaggle_enrich;
    int rc = container_get_datasets(app, CONTAINER_WRITES, &service->datasets, err);

    if (rc == 0)
        rc = get_kaggle_client(app, err);
    if (rc < 0)
        return rc;
    service->database = app->database;
    service->client = app->kaggle_client;
    service->clock = app->clock;
    *out = service;
    return 0;
}

int
container_get_kaggle_latest(struct container *app, struct kaggle_latest_service **out,
                            struct error *err)
{
    struct kaggle_latest_service *service = &app->kaggle_latest;
    int rc = container_get_datasets(app, CONTAINER_WRITES, &service->datasets, err);

    if (rc == 0)
        rc = get_kaggle_client(app, err);
    if (rc < 0)
        return rc;
    service->database = app->database;
    service->client = app->kaggle_client;
    service->clock = app->clock;
    *out = service;
    return 0;
}

/* Each source where the settings say it is, with what it needs to tell us all. */
static int
find_link_sites(struct container *app, struct link_sites *out, struct error *err)
{
    struct str token = STR_NULL;
    char *bearer;
    int rc = hf_credentials_find(config_get(app->config, CONFIG_HF_TOKEN), NULL, &app->arena,
                                 &token, err);

    if (rc < 0)
        return rc;
    out->hf_endpoint = config_get(app->config, CONFIG_HF_ENDPOINT);
    out->kaggle_endpoint = config_get(app->config, CONFIG_KAGGLE_ENDPOINT);
    rc = config_get_i64(app->config, CONFIG_KAGGLE_PACE_MS, 0, 3600000, &out->kaggle_interval_ms,
                        err);
    if (rc < 0 || token.len == 0)
        return rc;
    bearer = arena_printf(&app->arena, "Bearer %.*s", STR_ARG(token));
    out->hf_authorization = str_from_cstr(bearer);
    return bearer ? 0 : error_set(err, ERR_NOMEM, "no memory for credentials");
}

int
container_get_link_checker(struct container *app, struct link_checker **out, struct error *err)
{
    struct link_checker *service = &app->link_checker;
    struct http_client *http = NULL;
    int rc = container_get_database(app, CONTAINER_WRITES, &service->database, err);

    if (rc == 0)
        rc = container_get_http(app, &http, err);
    if (rc == 0 && !service->sites.hf_endpoint.ptr)
        rc = find_link_sites(app, &service->sites, err);
    if (rc < 0)
        return rc;
    service->transport = link_transport_http(http);
    service->clock = app->clock;
    *out = service;
    return 0;
}

int
container_get_static_score(struct container *app, struct static_score_calculator **out,
                           struct error *err)
{
    struct static_score_calculator *service = &app->static_score;
    int rc = container_get_database(app, CONTAINER_WRITES, &service->database, err);

    if (rc < 0)
        return rc;
    service->clock = app->clock;
    *out = service;
    return 0;
}

int
container_get_cleanup(struct container *app, struct cleanup_service **out, struct error *err)
{
    (void)err; /* it opens nothing */
    app->cleanup.cache_dir = config_get(app->config, CONFIG_CACHE_DIR);
    app->cleanup.clock = app->clock;
    *out = &app->cleanup;
    return 0;
}
