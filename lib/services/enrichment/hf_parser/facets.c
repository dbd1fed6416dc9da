/* Two rounds over the tags: count per kind, then fill lists of that size. */

#include "lib/services/enrichment/hf_parser/facets.h"

#include "lib/models/dataset.h"
#include "lib/services/enrichment/hf_parser/text.h"

static const struct {
    struct str prefix;
    struct str card_key;
    struct str older_key;
    struct str meta_key;
} facet_rows[] = {
#define HF_FACET_ROW(kind, prefix, card_key, older_key, meta_key)                                  \
    {STR_INIT(prefix), STR_INIT(card_key), STR_INIT(older_key), STR_INIT(meta_key)},
    HF_FACETS(HF_FACET_ROW)
#undef HF_FACET_ROW
};

/* A list being filled, in room for cap items. */
struct list_builder {
    struct str *items;
    size_t n_items;
    size_t cap;
};

static int
open_list(struct list_builder *list, size_t cap, struct arena *arena, struct error *err)
{
    list->cap = cap < DATASET_LIST_ITEMS ? cap : DATASET_LIST_ITEMS;
    list->n_items = 0;
    list->items = arena_calloc(arena, list->cap, sizeof(*list->items));
    return list->items ? 0 : error_set(err, ERR_NOMEM, "no memory for a list of %zu", list->cap);
}

/* Add item unless it is empty or known, or the list is full. */
static void
add_item(struct list_builder *list, struct str item)
{
    if (item.len == 0 || list->n_items == list->cap)
        return;
    for (size_t i = 0; i < list->n_items; i++) {
        if (str_equal_ignore_case(list->items[i], item))
            return;
    }
    list->items[list->n_items++] = item;
}

static int
add_text(struct list_builder *list, struct str text, struct arena *arena, struct error *err)
{
    struct str item;
    int rc = hf_text_clean_line(text, HF_FACET_ITEM_BYTES, arena, &item, err);

    if (rc == 0)
        add_item(list, item);
    return rc;
}

/* The kind of a tag, and its value without the prefix. */
static enum hf_facet
sort_tag(struct str tag, struct str *value)
{
    size_t colon = str_find_char(tag, ':');
    struct str prefix = str_slice(tag, 0, colon);

    *value = tag;
    for (size_t i = 0; colon < tag.len && i < COUNT_OF(facet_rows); i++) {
        if (facet_rows[i].prefix.len && str_equal(facet_rows[i].prefix, prefix)) {
            *value = str_slice(tag, colon + 1, tag.len);
            return (enum hf_facet)i;
        }
    }
    return HF_KEYWORD;
}

static size_t
n_scanned(const struct json *array)
{
    return array->array.n_items < HF_FACET_SCAN_ITEMS ? array->array.n_items : HF_FACET_SCAN_ITEMS;
}

static int
read_tags(const struct json *tags, struct arena *arena, struct list_builder lists[HF_N_FACETS],
          struct error *err)
{
    size_t n_tags = n_scanned(tags);
    size_t counts[HF_N_FACETS] = {0};
    struct str value;
    int rc = 0;

    for (size_t i = 0; i < n_tags; i++) {
        if (tags->array.items[i].type == JSON_STRING)
            counts[sort_tag(tags->array.items[i].text, &value)]++;
    }
    for (size_t i = 0; rc == 0 && i < HF_N_FACETS; i++)
        rc = counts[i] ? open_list(&lists[i], counts[i], arena, err) : 0;
    for (size_t i = 0; rc == 0 && i < n_tags; i++) {
        enum hf_facet facet;

        if (tags->array.items[i].type != JSON_STRING)
            continue;
        facet = sort_tag(tags->array.items[i].text, &value);
        if (facet == HF_LANGUAGE && str_equal(value, STR("false")))
            value = STR("no");
        rc = add_text(&lists[facet], value, arena, err);
    }
    return rc;
}

/* The text that one value of the card's header stands for, or STR_NULL. */
static struct str
card_text(const struct json *value, enum hf_facet facet)
{
    if (value->type == JSON_BOOL && !value->boolean && facet == HF_LANGUAGE)
        return STR("no");
    return value->type == JSON_STRING ? value->text : STR_NULL;
}

static int
read_card(const struct json *card, enum hf_facet facet, struct arena *arena,
          struct list_builder *list, struct error *err)
{
    const struct json *value = json_get(card, facet_rows[facet].card_key);
    const struct json *items;
    size_t n_items;
    int rc;

    if (!value || value->type == JSON_NULL)
        value = json_get(card, facet_rows[facet].older_key);
    if (!value)
        return 0;
    items = value->type == JSON_ARRAY ? value->array.items : value;
    n_items = value->type == JSON_ARRAY ? n_scanned(value) : 1;
    rc = open_list(list, n_items, arena, err);
    for (size_t i = 0; rc == 0 && i < n_items; i++)
        rc = add_text(list, card_text(&items[i], facet), arena, err);
    return rc;
}

int
hf_facets_read(const struct json *tags, const struct json *card, struct arena *arena,
               struct hf_facets *out, struct error *err)
{
    struct list_builder lists[HF_N_FACETS] = {0};
    int rc = 0;

    if (tags && tags->type == JSON_ARRAY)
        rc = read_tags(tags, arena, lists, err);
    for (size_t i = 0; rc == 0 && i < HF_N_FACETS; i++) {
        if (lists[i].n_items == 0 && facet_rows[i].card_key.len)
            rc = read_card(card, (enum hf_facet)i, arena, &lists[i], err);
    }
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < HF_N_FACETS; i++) {
        out->lists[i] =
            (struct str_list){lists[i].n_items ? lists[i].items : NULL, lists[i].n_items};
    }
    return 0;
}

struct str
hf_facet_meta_key(enum hf_facet facet)
{
    return facet_rows[facet].meta_key;
}

int
hf_facets_join(const struct hf_facets *facets, const enum hf_facet *kinds, size_t n_kinds,
               struct arena *arena, struct str_list *out, struct error *err)
{
    struct list_builder list;
    size_t n_all = 0;
    int rc;

    for (size_t i = 0; i < n_kinds; i++)
        n_all += facets->lists[kinds[i]].n_items;
    rc = open_list(&list, n_all, arena, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_kinds; i++) {
        for (size_t k = 0; k < facets->lists[kinds[i]].n_items; k++)
            add_item(&list, facets->lists[kinds[i]].items[k]);
    }
    *out = (struct str_list){list.items, list.n_items};
    return 0;
}
