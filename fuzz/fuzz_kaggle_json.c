/* Bytes of any of Kaggle's answers to rows of the catalogue: base/json.h, api_parser.h, markup.h,
 * mapper.h.  The first byte chooses the parser. */

#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"
#include "lib/services/enrichment/kaggle_parser/markup.h"

#define ARENA_BYTES ((size_t)64 << 20)

static void
check(bool is_true)
{
    if (!is_true)
        abort();
}

/* What the header of the mapper promises, whatever came in. */
static void
check_row(const struct dataset *row, struct arena *arena)
{
    struct json meta;

    check(row->source_key.len > 0 && row->external_id.len > 0);
    check(str_find_char(row->external_id, '/') < row->external_id.len);
    check(row->title.len <= DATASET_TITLE_BYTES && utf8_is_valid(row->title));
    check(row->description.len <= DATASET_DESCRIPTION_BYTES && utf8_is_valid(row->description));
    check(row->tags.n_items <= DATASET_LIST_ITEMS);
    check(row->column_names.n_items <= DATASET_LIST_ITEMS);
    check(row->source_meta.len <= DATASET_META_BYTES);
    check(json_parse(row->source_meta, NULL, arena, &meta, NULL) == 0);
    check(meta.type == JSON_OBJECT);
}

static void
map(const struct kaggle_api_dataset *dataset, struct arena *arena)
{
    struct dataset row;

    for (int kind = KAGGLE_LIST_ROW; kind <= KAGGLE_VIEW; kind++) {
        if (kaggle_mapper_from_api(dataset, (enum kaggle_answer_kind)kind, arena, &row, NULL) == 0)
            check_row(&row, arena);
    }
}

static void
try_markup(struct str text, struct arena *arena)
{
    struct str valid = {text.ptr, utf8_valid_prefix(text)};
    bool ok = true;
    struct str plain = kaggle_markup_strip(valid, 1000, arena, &ok);
    struct str line = kaggle_markup_strip_line(valid, 1000, arena, &ok);

    check(!ok || (plain.len <= 1000 && utf8_is_valid(plain)));
    check(!ok || (line.len <= 1000 && utf8_is_valid(line)));
    check(!ok || str_find_char(line, '\n') == line.len);
}

static void
try_answer(struct str text, unsigned char which, struct arena *arena)
{
    struct kaggle_api_dataset dataset;
    struct kaggle_api_page page;
    struct json body;

    if (json_parse(text, NULL, arena, &body, NULL) < 0)
        return;
    (void)kaggle_api_find_error(&body);
    if (which % 3 == 0 && kaggle_api_parse_page(&body, arena, &page, NULL) == 0) {
        for (size_t i = 0; i < page.n_rows; i++) {
            if (!page.rows[i].reject)
                map(&page.rows[i].dataset, arena);
        }
    }
    if (which % 3 == 1 && kaggle_api_parse_dataset(&body, arena, &dataset, NULL) == 0) {
        kaggle_mapper_merge_metadata(&dataset, &dataset);
        map(&dataset, arena);
    }
    if (which % 3 == 2 && kaggle_api_parse_metadata(&body, arena, &dataset, NULL) == 0) {
        dataset.id = 1;
        dataset.ref = STR("a/b");
        map(&dataset, arena);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct str text;

    if (size == 0)
        return 0;
    text = (struct str){(const char *)data + 1, size - 1};
    try_markup(text, &arena);
    try_answer(text, data[0], &arena);
    arena_fini(&arena);
    return 0;
}
