/* Numbers from authors: a negative one, one of another type and a sum beyond int64 are unknown. */

#include "lib/services/enrichment/hf_parser/dataset_info.h"

#include "lib/models/dataset.h"
#include "lib/services/enrichment/hf_parser/text.h"

#define NAME_BYTES ((size_t)200)

/* Features that are looked at, over all configurations. */
#define SCAN_FEATURES ((size_t)10000)

struct column_list {
    struct str *items;
    size_t n_items;
    size_t cap;
    size_t n_scanned;
};

static int64_t
get_amount(const struct json *object, struct str name)
{
    int64_t value;

    return json_is_i64(json_get(object, name), &value) && value >= 0 ? value : DATASET_UNKNOWN;
}

/* Sum of a number over the splits; unknown unless one of them has it. */
static int64_t
sum_splits(const struct json *config, struct str name)
{
    const struct json *splits = json_get_typed(config, STR("splits"), JSON_ARRAY);
    int64_t sum = DATASET_UNKNOWN;

    for (size_t i = 0; splits && i < splits->array.n_items; i++) {
        int64_t amount = get_amount(&splits->array.items[i], name);

        if (amount == DATASET_UNKNOWN)
            continue;
        if (__builtin_add_overflow(sum == DATASET_UNKNOWN ? 0 : sum, amount, &sum))
            return DATASET_UNKNOWN;
    }
    return sum;
}

static int64_t
size_of(const struct json *config)
{
    int64_t n_bytes = get_amount(config, STR("dataset_size"));

    if (n_bytes == DATASET_UNKNOWN)
        n_bytes = get_amount(config, STR("download_size"));
    return n_bytes != DATASET_UNKNOWN ? n_bytes : sum_splits(config, STR("num_bytes"));
}

/* The features as an array or object, and how many there are. */
static const struct json *
get_features(const struct json *config, size_t *n_features)
{
    const struct json *features = json_get(config, STR("features"));

    *n_features = 0;
    if (features && features->type == JSON_ARRAY)
        *n_features = features->array.n_items;
    else if (features && features->type == JSON_OBJECT)
        *n_features = features->object.n_members;
    return features;
}

static int
add_column(struct column_list *columns, struct str name, struct arena *arena, struct error *err)
{
    struct str column;
    int rc;

    if (columns->n_items == columns->cap)
        return 0;
    rc = hf_text_clean_line(name, NAME_BYTES, arena, &column, err);
    if (rc < 0 || column.len == 0)
        return rc;
    for (size_t i = 0; i < columns->n_items; i++) {
        if (str_equal(columns->items[i], column))
            return 0;
    }
    columns->items[columns->n_items++] = column;
    return 0;
}

static int
read_columns(const struct json *config, struct column_list *columns, struct arena *arena,
             struct error *err)
{
    size_t n_features;
    const struct json *features = get_features(config, &n_features);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n_features && columns->n_scanned < SCAN_FEATURES; i++) {
        struct str name = features->type == JSON_ARRAY
                              ? json_get_str(&features->array.items[i], STR("name"))
                              : features->object.members[i].name;

        rc = add_column(columns, name, arena, err);
        columns->n_scanned++;
    }
    return rc;
}

/* Room for the columns of all configurations, within the catalogue's ceiling. */
static int
open_columns(const struct json *items, size_t n_items, struct arena *arena,
             struct column_list *columns, struct error *err)
{
    size_t n_all = 0;

    for (size_t i = 0; i < n_items && n_all < DATASET_LIST_ITEMS; i++) {
        size_t n_features;

        (void)get_features(&items[i], &n_features);
        n_all += n_features < DATASET_LIST_ITEMS ? n_features : DATASET_LIST_ITEMS;
    }
    *columns = (struct column_list){0};
    columns->cap = n_all < DATASET_LIST_ITEMS ? n_all : DATASET_LIST_ITEMS;
    columns->items = arena_calloc(arena, columns->cap, sizeof(*columns->items));
    return columns->items ? 0
                          : error_set(err, ERR_NOMEM, "no memory for %zu columns", columns->cap);
}

static int
read_config(const struct json *json, struct arena *arena, struct hf_config *out, struct error *err)
{
    struct str name = json_get_str(json, STR("config_name"));

    *out = (struct hf_config){
        .n_rows = sum_splits(json, STR("num_examples")),
        .n_bytes = size_of(json),
    };
    return hf_text_clean_line(name.len ? name : STR("default"), NAME_BYTES, arena, &out->name, err);
}

int
hf_info_read(const struct json *card, struct arena *arena, struct hf_info *out, struct error *err)
{
    const struct json *json = json_get(card, STR("dataset_info"));
    bool is_list = json && json->type == JSON_ARRAY;
    const struct json *items = is_list ? json->array.items : json;
    size_t n_items = is_list ? json->array.n_items : json && json->type == JSON_OBJECT;
    struct hf_info info = {.n_rows = DATASET_UNKNOWN, .n_bytes = DATASET_UNKNOWN};
    struct column_list columns;
    struct hf_config *configs;
    int rc;

    configs = arena_calloc(arena, n_items < HF_INFO_CONFIGS ? n_items : HF_INFO_CONFIGS,
                           sizeof(*configs));
    if (!configs)
        return error_set(err, ERR_NOMEM, "no memory for %zu configurations", n_items);
    rc = open_columns(items, n_items, arena, &columns, err);
    for (size_t i = 0; rc == 0 && i < n_items; i++) {
        struct hf_config config;

        if (items[i].type != JSON_OBJECT)
            continue;
        rc = read_config(&items[i], arena, &config, err);
        if (rc == 0)
            rc = read_columns(&items[i], &columns, arena, err);
        if (rc < 0)
            break;
        if (info.n_configs < HF_INFO_CONFIGS)
            configs[info.n_configs++] = config;
        info.n_rows = config.n_rows > info.n_rows ? config.n_rows : info.n_rows;
        info.n_bytes = config.n_bytes > info.n_bytes ? config.n_bytes : info.n_bytes;
    }
    if (rc < 0)
        return rc;
    info.configs = configs;
    info.column_names = (struct str_list){columns.n_items ? columns.items : NULL, columns.n_items};
    *out = info;
    return 0;
}
