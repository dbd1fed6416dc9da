/* Bytes of a page to rows of the catalogue: base/json.h, the Hub's mapper and the address of a
 * page. */

#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/utf8.h"
#include "lib/services/enrichment/hf_parser/listing.h"
#include "lib/services/enrichment/hf_parser/mapper.h"

#define ARENA_BYTES ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n_bytes);

/* What the header of the mapper promises, whatever the row. */
static void
check_row(const struct dataset *row)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct json meta;

    if (row->title.len == 0 || row->title.len > DATASET_TITLE_BYTES || !utf8_is_valid(row->title) ||
        row->description.len > DATASET_DESCRIPTION_BYTES || !utf8_is_valid(row->description) ||
        row->tags.n_items > DATASET_LIST_ITEMS || row->column_names.n_items > DATASET_LIST_ITEMS ||
        row->source_meta.len > DATASET_META_BYTES || row->source_key.len == 0 ||
        json_parse(row->source_meta, NULL, &arena, &meta, NULL) < 0 || meta.type != JSON_OBJECT)
        abort();
    arena_fini(&arena);
}

static void
map_row(const struct json *json, struct arena *arena)
{
    struct dataset row;

    if (hf_mapper_map(json, arena, &row, NULL, NULL) == 0)
        check_row(&row);
    (void)hf_mapper_created_at_us(json);
    (void)hf_mapper_updated_at_us(json);
}

int
LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n_bytes)
{
    const struct json_limits limits = {.max_depth = 200};
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct str text = {(const char *)bytes, n_bytes};
    struct json page;
    struct str url;

    if (hf_listing_parse_link(text, &arena, &url, NULL) == 0 &&
        hf_listing_url(STR("https://h"), url, 1, &arena, &url, NULL) < 0)
        abort(); /* what was accepted once is a reference for ever */
    if (json_parse(text, &limits, &arena, &page, NULL) == 0) {
        map_row(&page, &arena);
        for (size_t i = 0; page.type == JSON_ARRAY && i < page.array.n_items; i++)
            map_row(&page.array.items[i], &arena);
    }
    arena_fini(&arena);
    return 0;
}
