/* Lines of words; a sorted array, and searches in it. */

#include "lib/services/search/judgements.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/number.h"

#define WORDS_MAX ((size_t)5)

static int
no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for judged queries");
}

static size_t
count_lines(struct str text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

static int
compare_judgements(const void *a, const void *b)
{
    const struct judgement *left = a;
    const struct judgement *right = b;
    int order = str_compare(left->query_id, right->query_id);

    return order ? order : str_compare(left->document_id, right->document_id);
}

/* The words between blanks and tabs; at most WORDS_MAX. */
static size_t
split_words(struct str line, struct str words[WORDS_MAX])
{
    size_t n = 0;
    size_t at = 0;

    while (n < WORDS_MAX) {
        size_t begin;

        while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '\t'))
            at++;
        begin = at;
        while (at < line.len && line.ptr[at] != ' ' && line.ptr[at] != '\t')
            at++;
        if (at == begin)
            break;
        words[n++] = str_slice(line, begin, at);
    }
    return n;
}

static int
parse_query(struct str line, struct arena *arena, struct judged_query *out, struct error *err)
{
    size_t tab = str_find_char(line, '\t');
    struct json value;
    int rc;

    if (line.ptr[0] == '{') {
        rc = json_parse(line, NULL, arena, &value, err);
        if (rc < 0)
            return rc;
        out->id = json_get_str(&value, STR("_id"));
        if (!out->id.len)
            out->id = json_get_str(&value, STR("id"));
        out->text = json_get_str(&value, STR("text"));
    } else {
        out->id = str_trim(str_slice(line, 0, tab));
        out->text = str_trim(str_slice(line, tab < line.len ? tab + 1 : tab, line.len));
    }
    if (out->id.len == 0 || out->text.len == 0)
        return error_set(err, ERR_INVALID, "no id and text: 'id TAB text', or JSON");
    return 0;
}

static int
parse_queries(struct judgements *self, struct str text, struct arena *arena, struct error *err)
{
    struct str line;
    size_t line_no = 0;

    self->queries = arena_calloc(arena, count_lines(text), sizeof(*self->queries));
    if (!self->queries)
        return no_memory(err);
    while (str_split(&text, '\n', &line)) {
        int rc;

        line_no++;
        line = str_trim(line);
        if (line.len == 0)
            continue;
        rc = parse_query(line, arena, &self->queries[self->n_queries], err);
        if (rc < 0)
            return error_wrap(err, rc, "queries, line %zu", line_no);
        self->n_queries++;
    }
    return 0;
}

static int
parse_qrels(struct judgements *self, struct str text, struct arena *arena, struct error *err)
{
    struct str words[WORDS_MAX];
    struct str line;
    size_t line_no = 0;

    self->items = arena_calloc(arena, count_lines(text), sizeof(*self->items));
    if (!self->items)
        return no_memory(err);
    while (str_split(&text, '\n', &line)) {
        struct judgement *item = &self->items[self->n_items];
        size_t n_words = split_words(str_trim(line), words);

        line_no++;
        if (n_words == 0)
            continue;
        if ((n_words != 3 && n_words != 4) ||
            number_parse_f64(words[n_words - 1], &item->grade, NULL) < 0) {
            if (line_no == 1 && n_words == 3)
                continue; /* a heading */
            return error_set(err, ERR_INVALID,
                             "qrels, line %zu: '%.*s' is not 'query 0 document grade'", line_no,
                             STR_ARG(str_slice(line, 0, 80)));
        }
        item->query_id = words[0];
        item->document_id = words[n_words - 2];
        self->n_items++;
    }
    qsort(self->items, self->n_items, sizeof(*self->items), compare_judgements);
    return 0;
}

int
judgements_parse(struct str queries, struct str qrels, struct arena *arena, struct judgements *out,
                 struct error *err)
{
    struct judgements parsed = {0};
    int rc = parse_queries(&parsed, queries, arena, err);

    if (rc == 0)
        rc = parse_qrels(&parsed, qrels, arena, err);
    if (rc == 0)
        *out = parsed;
    return rc;
}

/* The first item that is not before the key. */
static size_t
lower_bound(const struct judgement *items, size_t n_items, const struct judgement *key)
{
    size_t low = 0;
    size_t high = n_items;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_judgements(&items[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct judgement *
judgements_find_query(const struct judgements *self, struct str query_id, size_t *out_n)
{
    struct judgement key = {.query_id = query_id, .document_id = STR("")};
    size_t begin = lower_bound(self->items, self->n_items, &key);
    size_t end = begin;

    while (end < self->n_items && str_equal(self->items[end].query_id, query_id))
        end++;
    *out_n = end - begin;
    return self->items + begin;
}

double
judgements_grade(const struct judgement *items, size_t n_items, struct str document_id)
{
    struct judgement key = {.document_id = document_id};
    size_t at;

    if (n_items == 0)
        return 0;
    key.query_id = items[0].query_id;
    at = lower_bound(items, n_items, &key);
    return at < n_items && str_equal(items[at].document_id, document_id) ? items[at].grade : 0;
}
