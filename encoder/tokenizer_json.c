/* tokenizer.json, serialization version 1.0: the parts that a BERT tokenizer has; all else is
 * refused by name.  The file's truncation and padding are ignored: published files carry limits of
 * 128 or padding to a fixed length that sentence-transformers overrides. */

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "encoder/config_json.h"
#include "encoder/tokenizer_spec.h"
#include "encoder/wordpiece.h"

#define FILE_NAME "tokenizer.json"
#define ADDED_MAX 1024u

/* The object under a name whose "type" must be the one we know. */
static int
get_part(const struct json *root, struct str name, struct str type, const struct json **out,
         struct error *err)
{
    const struct json *part = json_get_typed(root, name, JSON_OBJECT);
    struct str found;

    if (!part)
        return error_set(err, ERR_UNSUPPORTED, "%s: %.*s is missing, %.*s is needed", FILE_NAME,
                         STR_ARG(name), STR_ARG(type));
    found = json_get_str(part, STR("type"));
    if (!str_equal(found, type))
        return error_set(err, ERR_UNSUPPORTED, "%s: %.*s.type is '%.*s', only %.*s is supported",
                         FILE_NAME, STR_ARG(name), STR_ARG(found), STR_ARG(type));
    *out = part;
    return 0;
}

static int
parse_normalizer(const struct json *root, struct normalizer_options *out, struct error *err)
{
    struct normalizer_options options = {true, true, true, true};
    const struct json *part;
    int rc = get_part(root, STR("normalizer"), STR("BertNormalizer"), &part, err);

    if (rc == 0)
        rc =
            config_json_optional_bool(part, FILE_NAME, STR("clean_text"), &options.clean_text, err);
    if (rc == 0)
        rc = config_json_optional_bool(part, FILE_NAME, STR("handle_chinese_chars"),
                                       &options.handle_chinese_chars, err);
    if (rc == 0)
        rc = config_json_optional_bool(part, FILE_NAME, STR("lowercase"), &options.lowercase, err);
    options.strip_accents = options.lowercase; /* what null means */
    if (rc == 0)
        rc = config_json_optional_bool(part, FILE_NAME, STR("strip_accents"),
                                       &options.strip_accents, err);
    if (rc == 0)
        *out = options;
    return rc;
}

static int
parse_vocab(const struct json *model, struct arena *arena, struct tokenizer_spec *out,
            struct error *err)
{
    const struct json *vocab = json_get_typed(model, STR("vocab"), JSON_OBJECT);
    struct vocab_entry *entries;

    if (!vocab)
        return error_set(err, ERR_INVALID, "%s: model.vocab is missing or not an object",
                         FILE_NAME);
    entries = arena_calloc(arena, vocab->object.n_members, sizeof(*entries));
    if (!entries)
        return error_set(err, ERR_NOMEM, "%s: cannot hold %zu vocabulary entries", FILE_NAME,
                         vocab->object.n_members);
    for (size_t i = 0; i < vocab->object.n_members; i++) {
        const struct json_member *member = &vocab->object.members[i];
        int64_t id;

        if (!json_is_i64(&member->value, &id) || id < 0 || id > INT32_MAX)
            return error_set(err, ERR_INVALID, "%s: the id of '%.*s' is not a whole number >= 0",
                             FILE_NAME, STR_ARG(member->name));
        entries[i] = (struct vocab_entry){member->name, (int32_t)id};
    }
    out->vocab = entries;
    out->n_vocab = vocab->object.n_members;
    return 0;
}

/* model: type may be absent, as in files of the original BERT models. */
static int
parse_model(const struct json *root, struct arena *arena, struct tokenizer_spec *out,
            struct error *err)
{
    const struct json *model = json_get_typed(root, STR("model"), JSON_OBJECT);
    struct config_json fields = {.path = FILE_NAME};
    int rc;

    if (!model)
        return error_set(err, ERR_INVALID, "%s: model is missing", FILE_NAME);
    fields.root = *model;
    rc = config_json_str(model, FILE_NAME, STR("unk_token"), &out->unk_token, err);
    if (rc == 0)
        rc = config_json_str(model, FILE_NAME, STR("continuing_subword_prefix"),
                             &out->continuing_prefix, err);
    if (rc == 0)
        rc = config_json_size(&fields, STR("max_input_chars_per_word"), 1, WORDPIECE_CHARS_MAX,
                              &out->max_word_chars, err);
    return rc < 0 ? rc : parse_vocab(model, arena, out, err);
}

/* What id a text gets: the vocabulary's, or the next one behind everything known. */
static int32_t
resolve_id(const struct tokenizer_spec *spec, struct str content)
{
    int32_t id = tokenizer_spec_find(spec, content);
    int32_t max_id = -1;

    if (id >= 0)
        return id;
    for (size_t i = 0; i < spec->n_added; i++)
        max_id = spec->added[i].id > max_id ? spec->added[i].id : max_id;
    return (size_t)(max_id + 1) > spec->n_vocab ? max_id + 1 : (int32_t)spec->n_vocab;
}

static int
parse_added_token(const struct json *value, struct added_token *out, struct error *err)
{
    struct added_token token = {.normalized = true};
    static const struct {
        struct str name;
        size_t offset;
    } flags[] = {
        {STR_INIT("special"), offsetof(struct added_token, special)},
        {STR_INIT("normalized"), offsetof(struct added_token, normalized)},
        {STR_INIT("single_word"), offsetof(struct added_token, single_word)},
        {STR_INIT("lstrip"), offsetof(struct added_token, lstrip)},
        {STR_INIT("rstrip"), offsetof(struct added_token, rstrip)},
    };
    int rc = config_json_str(value, FILE_NAME " added_tokens", STR("content"), &token.content, err);

    for (size_t i = 0; rc == 0 && i < COUNT_OF(flags); i++)
        rc = config_json_optional_bool(value, FILE_NAME " added_tokens", flags[i].name,
                                       (bool *)((char *)&token + flags[i].offset), err);
    if (rc == 0)
        *out = token;
    return rc;
}

static int
parse_added_tokens(const struct json *root, struct arena *arena, struct tokenizer_spec *spec,
                   struct error *err)
{
    const struct json *list = json_get_typed(root, STR("added_tokens"), JSON_ARRAY);
    struct added_token *tokens;
    int rc = 0;

    if (!list)
        return 0;
    if (list->array.n_items > ADDED_MAX)
        return error_set(err, ERR_TOO_LARGE, "%s: %zu added_tokens, more than %u", FILE_NAME,
                         list->array.n_items, ADDED_MAX);
    tokens = arena_calloc(arena, list->array.n_items, sizeof(*tokens));
    if (!tokens)
        return error_set(err, ERR_NOMEM, "%s: cannot hold added_tokens", FILE_NAME);
    spec->added = tokens;
    for (size_t i = 0; rc == 0 && i < list->array.n_items; i++) {
        struct added_token token = {0};

        rc = parse_added_token(&list->array.items[i], &token, err);
        if (rc < 0 || token.content.len == 0)
            continue;
        token.id = resolve_id(spec, token.content);
        tokens[spec->n_added++] = token;
    }
    return rc;
}

/* One special token of a template: its text must have the id that the template gives it. */
static int
add_special(const struct tokenizer_spec *spec, struct str text, int64_t id, int32_t *ids,
            size_t *n_ids, struct error *err)
{
    int32_t known = tokenizer_spec_find(spec, text);

    if (known < 0 || known != id)
        return error_set(err, ERR_INVALID,
                         "%s: post_processor gives '%.*s' the id %" PRId64
                         ", the vocabulary %" PRId32,
                         FILE_NAME, STR_ARG(text), id, known);
    if (*n_ids == TOKENIZER_SPECIALS_MAX)
        return error_set(err, ERR_UNSUPPORTED, "%s: post_processor adds more than %d tokens",
                         FILE_NAME, TOKENIZER_SPECIALS_MAX);
    ids[(*n_ids)++] = known;
    return 0;
}

/* {"special_tokens": {name: {"ids": [id], "tokens": [text]}}} */
static int
add_template_token(const struct json *processor, const struct json *item,
                   struct tokenizer_spec *spec, bool is_suffix, struct error *err)
{
    struct str name = json_get_str(item, STR("id"));
    const struct json *table = json_get(processor, STR("special_tokens"));
    const struct json *entry = json_get(table, name);
    const struct json *ids = json_get_typed(entry, STR("ids"), JSON_ARRAY);
    const struct json *tokens = json_get_typed(entry, STR("tokens"), JSON_ARRAY);
    int rc = 0;

    if (!ids || !tokens || ids->array.n_items != tokens->array.n_items)
        return error_set(err, ERR_INVALID, "%s: post_processor.special_tokens lacks '%.*s'",
                         FILE_NAME, STR_ARG(name));
    for (size_t i = 0; rc == 0 && i < ids->array.n_items; i++) {
        const struct json *text = &tokens->array.items[i];
        int64_t id = -1;

        if (text->type != JSON_STRING || !json_is_i64(&ids->array.items[i], &id))
            return error_set(err, ERR_INVALID,
                             "%s: post_processor.special_tokens '%.*s' is "
                             "broken",
                             FILE_NAME, STR_ARG(name));
        rc = add_special(spec, text->text, id, is_suffix ? spec->suffix_ids : spec->prefix_ids,
                         is_suffix ? &spec->n_suffix_ids : &spec->n_prefix_ids, err);
    }
    return rc;
}

static int
parse_template(const struct json *processor, struct tokenizer_spec *spec, struct error *err)
{
    const struct json *single = json_get_typed(processor, STR("single"), JSON_ARRAY);
    bool has_sequence = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && single && i < single->array.n_items; i++) {
        const struct json *piece = &single->array.items[i];
        const struct json *special = json_get_typed(piece, STR("SpecialToken"), JSON_OBJECT);
        const struct json *sequence = json_get_typed(piece, STR("Sequence"), JSON_OBJECT);
        const struct json *item = special ? special : sequence;
        int64_t type_id;

        if (!item || !json_is_i64(json_get(item, STR("type_id")), &type_id) || type_id != 0 ||
            (sequence && has_sequence))
            return error_set(err, ERR_UNSUPPORTED,
                             "%s: post_processor.single[%zu] is not a "
                             "special token or the sequence, of type_id 0",
                             FILE_NAME, i);
        if (special)
            rc = add_template_token(processor, special, spec, has_sequence, err);
        else
            has_sequence = true;
    }
    if (rc == 0 && !has_sequence)
        return error_set(err, ERR_INVALID, "%s: post_processor.single has no Sequence", FILE_NAME);
    return rc;
}

/* BertProcessing, RobertaProcessing: {"sep": [text, id], "cls": [text, id]} */
static int
parse_pair(const struct json *processor, struct str name, struct tokenizer_spec *spec, int32_t *ids,
           size_t *n_ids, struct error *err)
{
    const struct json *pair = json_get_typed(processor, name, JSON_ARRAY);
    int64_t id;

    if (!pair || pair->array.n_items != 2 || pair->array.items[0].type != JSON_STRING ||
        !json_is_i64(&pair->array.items[1], &id))
        return error_set(err, ERR_INVALID, "%s: post_processor.%.*s is not [text, id]", FILE_NAME,
                         STR_ARG(name));
    return add_special(spec, pair->array.items[0].text, id, ids, n_ids, err);
}

static int
parse_post_processor(const struct json *root, struct tokenizer_spec *spec, struct error *err)
{
    const struct json *processor = json_get_typed(root, STR("post_processor"), JSON_OBJECT);
    struct str type = json_get_str(processor, STR("type"));
    int rc;

    if (str_equal(type, STR("TemplateProcessing")))
        return parse_template(processor, spec, err);
    if (!str_equal(type, STR("BertProcessing")) && !str_equal(type, STR("RobertaProcessing")))
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: post_processor.type is '%.*s'; supported are "
                         "TemplateProcessing, BertProcessing and RobertaProcessing",
                         FILE_NAME, STR_ARG(type));
    rc = parse_pair(processor, STR("cls"), spec, spec->prefix_ids, &spec->n_prefix_ids, err);
    if (rc == 0)
        rc = parse_pair(processor, STR("sep"), spec, spec->suffix_ids, &spec->n_suffix_ids, err);
    return rc;
}

/* First of all, since it tells best what kind of tokenizer this is. */
static int
check_model_type(const struct json *root, struct error *err)
{
    const struct json *model = json_get_typed(root, STR("model"), JSON_OBJECT);
    struct str type = model ? json_get_str(model, STR("type")) : STR_NULL;

    if (!model || !json_get(model, STR("type")) || str_equal(type, STR("WordPiece")))
        return 0;
    return error_set(err, ERR_UNSUPPORTED, "%s: model.type is '%.*s', only WordPiece is supported",
                     FILE_NAME, STR_ARG(type));
}

int
tokenizer_json_parse(struct str text, struct arena *arena, struct tokenizer_spec *out,
                     struct error *err)
{
    struct tokenizer_spec spec = {0};
    const struct json *unused;
    struct json root;
    struct str version;
    int rc = json_parse(text, NULL, arena, &root, err);

    if (rc < 0)
        return error_wrap(err, rc, "%s", FILE_NAME);
    version = json_get_str(&root, STR("version"));
    if (!str_equal(version, STR("1.0")))
        return error_set(err, ERR_UNSUPPORTED, "%s: version is '%.*s', only 1.0 is supported",
                         FILE_NAME, STR_ARG(version));
    rc = check_model_type(&root, err);
    if (rc == 0)
        rc = parse_normalizer(&root, &spec.normalizer, err);
    if (rc == 0)
        rc = get_part(&root, STR("pre_tokenizer"), STR("BertPreTokenizer"), &unused, err);
    if (rc == 0)
        rc = parse_model(&root, arena, &spec, err);
    if (rc == 0)
        rc = parse_added_tokens(&root, arena, &spec, err);
    if (rc == 0)
        rc = parse_post_processor(&root, &spec, err);
    if (rc == 0)
        *out = spec;
    return rc;
}
