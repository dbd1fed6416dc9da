#pragma once

/* Settings: flag, environment, .env file, trawl.yaml, default, in this order; each value remembers
 * where it came from.
 *
 * Everything is text until a reader asks for a number.  Owned by the caller of config_create,
 * borrowed by everybody else; read-only after loading, so any thread may read. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "lib/core/config_node.h"

/* clang-format off */
#define CONFIG_SETTINGS(X) \
    /* key                     name in trawl.yaml        environment                                          default                       help */ \
    X(CONFIG_DATA_DIR,         "data_dir",               "TRAWL_DATA_DIR",                                    NULL,                         "where everything is kept") \
    X(CONFIG_DATABASE_URL,     "database_url",           "DATABASE_URL",                                      "sqlite:///{data_dir}/trawl.db", "the catalogue's database") \
    X(CONFIG_BROKER_URL,       "broker_url",             "CELERY_BROKER_URL",                                 "sqlite:///{data_dir}/broker.db", "where tasks wait") \
    X(CONFIG_RESULT_BACKEND,   "result_backend",         "CELERY_RESULT_BACKEND",                             "sqlite:///{data_dir}/results.db", "where results are kept") \
    X(CONFIG_HISTORY_URL,      "history_url",            "TRAWL_HISTORY_URL",                                 "sqlite:///{data_dir}/history.db", "where workers of this host keep what has become of tasks") \
    X(CONFIG_HISTORY_ENABLED,  "history.enabled",        "TRAWL_HISTORY_ENABLED",                             "true",                       "false: no history is kept") \
    X(CONFIG_HISTORY_EXCLUDE,  "history.exclude",        "TRAWL_HISTORY_EXCLUDE",                             "",                           "names of tasks whose successes are not kept: demo.noop probe.*") \
    X(CONFIG_HISTORY_SAMPLE,   "history.sample",         "TRAWL_HISTORY_SAMPLE",                              "1",                          "of the other successes keep one in so many") \
    X(CONFIG_HISTORY_MAX_RATE, "history.max_rate",       "TRAWL_HISTORY_MAX_RATE",                            "2000",                       "successes a second that are kept, beside bursts of 20,000; 0 = all") \
    X(CONFIG_HISTORY_KEEP_DAYS, "history.keep_days",     "TRAWL_HISTORY_KEEP_DAYS",                           "30",                         "older tasks are removed; 0 = never") \
    X(CONFIG_HISTORY_MAX_ROWS, "history.max_rows",       "TRAWL_HISTORY_MAX_ROWS",                            "1000000",                    "beyond so many the oldest are removed; 0 = no limit") \
    X(CONFIG_TIMEZONE,         "timezone",               "TRAWL_TIMEZONE",                                    "UTC",                        "of crontabs in the schedule: an IANA name, as Europe/Berlin") \
    X(CONFIG_SEND_SENT_EVENT,  "task_send_sent_event",    "TRAWL_TASK_SEND_SENT_EVENT",                        "false",                      "true: 'trawl call' tells monitors of the tasks it sends") \
    X(CONFIG_MODELS_DIR,       "models_dir",             "TRAWL_MODELS_DIR",                                  "{data_dir}/models",          "where models are kept") \
    X(CONFIG_INCLUDE,          "include",                "TRAWL_INCLUDE",                                     "",                           "plug-ins with more tasks: a list of files, from the directory of trawl.yaml") \
    X(CONFIG_CACHE_DIR,        "cache_dir",              "TRAWL_CACHE_DIR",                                   "{data_dir}/cache",           "downloads that can be had again") \
    X(CONFIG_LOG_LEVEL,        "log.level",              "TRAWL_LOG_LEVEL",                                   "info",                       "debug, info, warning, error or nothing") \
    X(CONFIG_LOG_FORMAT,       "log.format",             "TRAWL_LOG_FORMAT",                                  "text",                       "text or json") \
    X(CONFIG_CONTACT_URL,      "http.contact_url",       "TRAWL_CONTACT_URL",                                 "",                           "a page or mail address about you, shown to the hosts we ask") \
    X(CONFIG_TRUSTED_ORIGINS,  "http.trusted_origins",   "TRAWL_TRUSTED_ORIGINS",                             "",                           "http://host:port ... that may be private or local: a mirror in the LAN") \
    X(CONFIG_HF_ENDPOINT,      "huggingface.endpoint",   "HF_ENDPOINT",                                       "https://huggingface.co",     "the Hub or a mirror of it") \
    X(CONFIG_HF_TOKEN,         "huggingface.token",      "HF_TOKEN HUGGING_FACE_HUB_TOKEN",                   "",                           "access token; else the token file of the Hub's own tools") \
    X(CONFIG_KAGGLE_ENDPOINT,  "kaggle.endpoint",        "TRAWL_KAGGLE_ENDPOINT",                             "https://www.kaggle.com",     "the REST door of Kaggle") \
    X(CONFIG_KAGGLE_USERNAME,  "kaggle.username",        "KAGGLE_USERNAME",                                   "",                           "with kaggle.key; else kaggle.json is read") \
    X(CONFIG_KAGGLE_KEY,       "kaggle.key",             "KAGGLE_KEY",                                        "",                           "API key") \
    X(CONFIG_KAGGLE_API_TOKEN, "kaggle.api_token",       "KAGGLE_API_TOKEN",                                  "",                           "access token, or a file that holds it; goes before the key") \
    X(CONFIG_KAGGLE_PACE_MS,   "kaggle.min_interval_ms", "TRAWL_KAGGLE_MIN_INTERVAL_MS",                      "1000",                       "between two requests to Kaggle") \
    X(CONFIG_KAGGLE_PATIENCE_S, "kaggle.patience_s",     "TRAWL_KAGGLE_PATIENCE_S",                           "300",                        "a longer wait that Kaggle asks for ends the run, to go on with the next") \
    X(CONFIG_EMBEDDING_MODEL,  "embedding.model",        "EMBEDDING_MODEL",                                   "sentence-transformers/all-MiniLM-L6-v2", "a name from 'trawl model list', or a directory") \
    X(CONFIG_EMBEDDING_THREADS, "embedding.threads",     "TRAWL_EMBEDDING_THREADS",                           "0",                          "0 = all cores that this process may use") \
    X(CONFIG_EMBEDDING_PRECISION, "embedding.precision", "TRAWL_EMBEDDING_PRECISION",                         "auto",                       "auto, f32, bf16 or int8; part of the vectors' identity") \
    X(CONFIG_EMBEDDING_MIN_COSINE, "embedding.min_cosine", "EMBEDDING_MIN_COSINE",                            "0.999",                      "how near to f32 a precision must be for auto to take it") \
    X(CONFIG_EMBEDDING_QUERY_PROMPT, "embedding.query_prompt", "TRAWL_EMBEDDING_QUERY_PROMPT",        "auto",                       "put in front of what is looked for; auto = what the model asks for, none, or the text itself") \
    X(CONFIG_EMBEDDING_DOCUMENT_PROMPT, "embedding.document_prompt", "TRAWL_EMBEDDING_DOCUMENT_PROMPT", "auto",                    "put in front of each dataset's text, as query_prompt; part of the vectors' identity") \
    X(CONFIG_SEARCH_KEYWORD_WEIGHT, "search.keyword_weight", "TRAWL_SEARCH_KEYWORD_WEIGHT",            "1.0",                        "of the keyword list in a search; 0 = without it") \
    X(CONFIG_SEARCH_DENSE_WEIGHT, "search.dense_weight", "TRAWL_SEARCH_DENSE_WEIGHT",                  "0.5",                        "of the list by meaning; 0 = without it") \
    X(CONFIG_SEARCH_PRIOR_WEIGHT, "search.prior_weight", "TRAWL_SEARCH_PRIOR_WEIGHT",                  "0.3",                        "of the static score; 0 = without it")
/* clang-format on */

enum config_key {
#define CONFIG_ENUM(key, name, env, fallback, help) key,
    CONFIG_SETTINGS(CONFIG_ENUM)
#undef CONFIG_ENUM
        CONFIG_N_KEYS
};

struct config;

/* A value given on the command line; wins over everything. */
struct config_flag {
    enum config_key key;
    struct str value;
};

/* Where to look; the tests bring their own. */
struct config_options {
    const struct config_flag *flags;
    size_t n_flags;
    const char *yaml_path;   /* --config; NULL = TRAWL_CONFIG, ./trawl.yaml, the data
                                directory's, the user's configuration directory's */
    const char *dotenv_path; /* NULL = "./.env" */
    const char *(*get_env)(const char *name); /* NULL = getenv */
};

/* Load all.  Errors: ERR_CONFIG (unknown setting with the nearest name, bad YAML with file and
 * line, a --config file that is missing), ERR_NOMEM. */
MUST_CHECK int config_create(const struct config_options *options, struct config **out,
                             struct error *err);
void config_free(struct config *config);
void config_freep(struct config **config);

/* The value, with {data_dir} filled in; NUL-terminated, never absent. */
struct str config_get(const struct config *config, enum config_key key);

/* A whole number within [min, max].  Errors: ERR_CONFIG, naming setting, value and origin. */
MUST_CHECK int config_get_i64(const struct config *config, enum config_key key, int64_t min,
                              int64_t max, int64_t *out, struct error *err);

/* "flag", "environment DATABASE_URL", ".env DATABASE_URL", "trawl.yaml:12", "default". */
struct str config_origin(const struct config *config, enum config_key key);

const char *config_name(enum config_key key);
const char *config_env_names(enum config_key key); /* separated by blanks */
const char *config_help(enum config_key key);
bool config_is_secret(enum config_key key); /* shown as "***" */

/* The key of a name as in trawl.yaml.  Errors: ERR_CONFIG with the nearest name. */
MUST_CHECK int config_find_key(struct str name, enum config_key *out, struct error *err);

/* The trawl.yaml that was read; STR_NULL when there was none. */
struct str config_yaml_path(const struct config *config);

/* The plug-ins of `include`, one path at a time: *rest begins as config_get(CONFIG_INCLUDE).  Paths
 * from trawl.yaml are absolute already; others count from the present directory. */
bool config_next_include(struct str *rest, struct str *path);

/* A setting of a plug-in's own, which nobody here knows: `plugins.zenodo.endpoint` in trawl.yaml,
 * or TRAWL_PLUGINS_ZENODO_ENDPOINT in the environment, which goes before.  name is all that follows
 * "plugins.".  Absent where it is not set. */
struct str config_find_plugin(const struct config *config, struct str name);

/* Its beat_schedule as it stands there, for lib/schedule_config.h; NULL when it has none. */
const struct config_node *config_schedule(const struct config *config);

/* Its limits, likewise, for lib/limits_config.h. */
const struct config_node *config_limits(const struct config *config);
