/* Reference, view, metadata where the view is thin, then the row. */

#include "lib/services/enrichment/kaggle_parser/enrich_question.h"

#include <inttypes.h>

#include "base/number.h"
#include "base/utf8.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"
#include "lib/services/enrichment/kaggle_parser/ref.h"
#include "lib/services/enrichment/kaggle_parser/source_meta.h"

#define SEARCH_BYTES ((size_t)200)

/* What a question works on; answers live in the arena. */
struct question {
    struct kaggle_client *client;
    const struct dataset *known;
    int64_t id; /* source_key as a number */
    struct arena *arena;
    struct enrich_result *out;
};

/* End the question without a row.  Returns 1, "there is nothing more to ask", or ERR_NOMEM. */
static int
give_reason(const struct question *self, enum enrich_fate fate, enum error_code code,
            const char *message, struct error *err)
{
    bool ok = true;

    self->out->fate = fate;
    self->out->code = code;
    self->out->message = arena_dup(self->arena, str_from_cstr(message), &ok);
    return ok ? 1 : error_set(err, ERR_NOMEM, "no memory for the reason '%s'", message);
}

/* An error of the client or the mapper: the row's, the moment's, or the run's (which goes up). */
static int
sort_error(const struct question *self, int rc, const struct error *why, struct error *err)
{
    if (rc == -ERR_NETWORK || rc == -ERR_TIMEOUT)
        return give_reason(self, ENRICH_TRANSIENT, why->code, why->message, err);
    if (rc == -ERR_INVALID || rc == -ERR_TOO_LARGE)
        return give_reason(self, ENRICH_FAILED, why->code, why->message, err);
    if (err)
        *err = *why;
    return rc;
}

/* What to look for: the title, else the slug with its words apart.  Absent when both are unknown.
 */
static int
search_words(const struct question *self, struct str *out, struct error *err)
{
    struct str slug;
    char *words;

    *out = utf8_cut(str_trim(self->known->title), SEARCH_BYTES);
    if (out->len)
        return 0;
    slug = kaggle_source_meta_text(self->known->source_meta, STR("slug"), self->arena);
    words = arena_printf(self->arena, "%.*s", STR_ARG(utf8_cut(slug, SEARCH_BYTES)));
    if (!words)
        return error_set(err, ERR_NOMEM, "no memory for a search");
    *out = str_from_cstr(words);
    for (size_t i = 0; i < out->len; i++) {
        if (words[i] == '-' || words[i] == '_')
            words[i] = ' ';
    }
    return 0;
}

/* The reference of a row that has only a placeholder, from the list. */
static int
search_ref(const struct question *self, struct str *out, struct error *err)
{
    struct kaggle_list_query query = {.sort = KAGGLE_SORT_HOTTEST, .page = 1};
    struct kaggle_api_page page;
    struct error why;
    int rc;

    rc = search_words(self, &query.search, err);
    if (rc < 0)
        return rc;
    if (!query.search.len)
        return give_reason(self, ENRICH_GONE, ERR_NOT_FOUND,
                           "neither reference nor title is known; a later Meta Kaggle may tell",
                           err);
    rc = kaggle_client_list(self->client, &query, self->arena, &page, &why);
    if (rc < 0)
        return sort_error(self, rc, &why, err);
    for (size_t i = 0; i < page.n_rows; i++) {
        if (!page.rows[i].reject && page.rows[i].dataset.id == self->id) {
            *out = page.rows[i].dataset.ref;
            return 0;
        }
    }
    return give_reason(self, ENRICH_FAILED, ERR_NOT_FOUND,
                       "reference unknown: no dataset of this id among the hits for its title",
                       err);
}

/* No answer about the dataset: what the service said, in our words. */
static int
judge_refusal(const struct question *self, const struct kaggle_answer *answer, struct str ref,
              struct error *err)
{
    struct error why;

    if (answer->verdict == KAGGLE_GONE) {
        error_ignore(error_set(&why, ERR_NOT_FOUND, "'%.*s' is gone (404): %.*s", STR_ARG(ref),
                               STR_ARG(answer->message)));
        return give_reason(self, ENRICH_GONE, ERR_NOT_FOUND, why.message, err);
    }
    error_ignore(error_set(&why, ERR_AUTH,
                           "'%.*s' is missing, private or not for these credentials (403): %.*s",
                           STR_ARG(ref), STR_ARG(answer->message)));
    return give_reason(self, ENRICH_FAILED, ERR_AUTH, why.message, err);
}

static int
ask_view(const struct question *self, struct str ref, struct kaggle_api_dataset *out,
         struct error *err)
{
    struct kaggle_answer answer;
    struct error why;
    int rc;

    rc = kaggle_client_view(self->client, ref, self->arena, &answer, &why);
    if (rc < 0)
        return sort_error(self, rc, &why, err);
    if (answer.verdict != KAGGLE_FOUND)
        return judge_refusal(self, &answer, ref, err);
    if (answer.dataset.id != self->id) {
        error_ignore(error_set(&why, ERR_INVALID,
                               "'%.*s' is dataset %" PRId64 " now, not %" PRId64
                               ": renamed, and the name taken by another",
                               STR_ARG(ref), answer.dataset.id, self->id));
        return give_reason(self, ENRICH_FAILED, ERR_INVALID, why.message, err);
    }
    *out = answer.dataset;
    return 0;
}

static bool
is_thin(const struct kaggle_api_dataset *dataset)
{
    return str_trim(dataset->description).len == 0 || dataset->license_name.len == 0 ||
           dataset->n_files == 0;
}

/* Metadata is a bonus: when it fails for itself, the view stands alone. */
static int
add_metadata(const struct question *self, struct str ref, struct kaggle_api_dataset *dataset,
             struct error *err)
{
    struct kaggle_answer answer;
    struct error why;
    int rc;

    if (!is_thin(dataset))
        return 0;
    rc = kaggle_client_metadata(self->client, ref, self->arena, &answer, &why);
    if (rc == -ERR_RATE_LIMIT || rc == -ERR_CANCELLED || rc == -ERR_NOMEM) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc == 0 && answer.verdict == KAGGLE_FOUND)
        kaggle_mapper_merge_metadata(&answer.dataset, dataset);
    return 0;
}

static int
make_row(const struct question *self, const struct kaggle_api_dataset *dataset, struct error *err)
{
    struct error why;
    int rc;

    rc = kaggle_mapper_from_api(dataset, KAGGLE_VIEW, self->arena, &self->out->row, &why);
    if (rc < 0)
        return sort_error(self, rc, &why, err);
    self->out->fate = ENRICH_FOUND;
    return 0;
}

int
kaggle_enrich_ask(struct kaggle_client *client, const struct dataset *known, struct arena *arena,
                  struct enrich_result *out, struct error *err)
{
    struct enrich_result result = {.fate = ENRICH_FAILED};
    struct question self = {.client = client, .known = known, .arena = arena, .out = &result};
    struct kaggle_api_dataset dataset;
    struct str ref = known->external_id;
    int rc = 0;

    if (number_parse_i64(known->source_key, &self.id, NULL) < 0)
        rc = give_reason(&self, ENRICH_GONE, ERR_INVALID, "source_key is no number", err);
    if (rc == 0 && kaggle_ref_is_placeholder(ref))
        rc = search_ref(&self, &ref, err);
    if (rc == 0)
        rc = ask_view(&self, ref, &dataset, err);
    if (rc == 0)
        rc = add_metadata(&self, ref, &dataset, err);
    if (rc == 0)
        rc = make_row(&self, &dataset, err);
    if (rc < 0)
        return rc;
    *out = result;
    return 0;
}
