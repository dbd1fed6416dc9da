/* trawl model pull|list|check */

#include "cli/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include <trawl/encoder.h>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "lib/services/enrichment/hf_parser/hf_credentials.h"
#include "lib/services/ml/embedder.h"
#include "lib/services/ml/model_probe.h"
#include "lib/services/ml/model_prompts.h"
#include "lib/services/ml/model_store.h"
#include "lib/services/ml/precision_notes.h"

#define MODEL_ARENA_BYTES ((size_t)16 << 20)

/* The store's progress on the terminal. */
struct model_progress {
    struct progress base; /* first */
    struct cli_progress bar;
};

static void
report(const struct progress *self, int64_t done, int64_t total)
{
    /* The interface's self is const for its callers; the bar behind it is ours. */
    struct model_progress *own = (struct model_progress *)(uintptr_t)self;

    cli_progress_update(&own->bar, done, total);
}

static bool
is_cancelled(const struct progress *self)
{
    (void)self;
    return interrupt_is_pending(NULL);
}

/* The pinned model that a word names; by default the one of the settings. */
static int
find_model(struct cli *cli, const struct cli_words *words, const struct model **out,
           struct error *err)
{
    struct str name =
        words->n_items > 1 ? words->items[1] : config_get(cli->config, CONFIG_EMBEDDING_MODEL);

    return model_store_find(name, out, err);
}

static int
report_pull(const struct cli *cli, const struct model *model,
            const struct model_store_report *report_of, struct error *err)
{
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    char text[32];
    int rc;

    if (cli->json) {
        json_begin_object(&json);
        json_member_str(&json, STR("model"), str_from_cstr(model->repo));
        json_member_str(&json, STR("revision"), str_from_cstr(model->revision));
        json_member_i64(&json, STR("files_present"), (int64_t)report_of->n_files_present);
        json_member_i64(&json, STR("files_added"), (int64_t)report_of->n_files_added);
        json_member_i64(&json, STR("bytes_added"), (int64_t)report_of->n_bytes_added);
        json_end_object(&json);
    } else {
        buf_printf(&out, "%s is whole: %zu files verified, %zu of them new (%s)", model->name,
                   model->n_files, report_of->n_files_added,
                   cli_format_bytes((int64_t)report_of->n_bytes_added, text));
    }
    rc = cli_print(&out, err);
    buf_fini(&out);
    return rc;
}

static int
pull_from_hub(struct cli *cli, const struct model *model, const struct progress *progress,
              struct model_store_report *out, struct error *err)
{
    struct arena arena = ARENA_INIT(MODEL_ARENA_BYTES);
    struct http_client *http;
    struct str token;
    int rc = container_get_http(cli->app, &http, err);

    if (rc == 0)
        rc = hf_credentials_find(config_get(cli->config, CONFIG_HF_TOKEN), NULL, &arena, &token,
                                 err);
    if (rc == 0)
        rc = model_store_pull(http, config_get(cli->config, CONFIG_HF_ENDPOINT), token,
                              config_get(cli->config, CONFIG_MODELS_DIR).ptr, model, progress, out,
                              err);
    arena_fini(&arena);
    return rc;
}

static int
pull(struct cli *cli, const struct cli_words *words, struct str from, struct error *err)
{
    struct model_progress progress = {.base = {report, is_cancelled}};
    struct model_store_report done;
    const struct model *model;
    int rc = find_model(cli, words, &model, err);

    if (rc < 0)
        return rc;
    cli_progress_init(&progress.bar, str_from_cstr(model->name), cli->has_progress);
    progress.bar.is_bytes = true;
    if (from.ptr)
        rc = model_store_import(from.ptr, config_get(cli->config, CONFIG_MODELS_DIR).ptr, model,
                                &progress.base, &done, err);
    else
        rc = pull_from_hub(cli, model, &progress.base, &done, err);
    cli_progress_clear(&progress.bar);
    return rc < 0 ? rc : report_pull(cli, model, &done, err);
}

static int
list(struct cli *cli, struct error *err)
{
    struct arena arena = ARENA_INIT(MODEL_ARENA_BYTES);
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    struct json_writer json = JSON_WRITER_INIT(&out);
    struct model_listing *models;
    size_t n_models = 0;
    char text[32];
    int rc = model_store_list(config_get(cli->config, CONFIG_MODELS_DIR).ptr, &arena, &models,
                              &n_models, err);

    json_begin_array(&json);
    for (size_t i = 0; i < n_models; i++) {
        const struct model *model = models[i].model;
        uint64_t n_bytes = model_store_total_bytes(model);

        if (!cli->json) {
            (void)printf("%-20s %-48s %9s  %s\n", model->name, model->repo,
                         cli_format_bytes((int64_t)n_bytes, text),
                         models[i].is_complete ? models[i].dir : "not here: trawl model pull");
            continue;
        }
        json_begin_object(&json);
        json_member_str(&json, STR("name"), str_from_cstr(model->name));
        json_member_str(&json, STR("repo"), str_from_cstr(model->repo));
        json_member_str(&json, STR("revision"), str_from_cstr(model->revision));
        json_member_i64(&json, STR("bytes"), (int64_t)n_bytes);
        json_member_str(&json, STR("dir"), str_from_cstr(models[i].dir));
        json_member_bool(&json, STR("is_complete"), models[i].is_complete);
        json_end_object(&json);
    }
    json_end_array(&json);
    if (rc == 0 && cli->json)
        rc = cli_print(&out, err);
    buf_fini(&out);
    arena_fini(&arena);
    return rc;
}

static void
print_files(const struct cli *cli, const struct model_check *check, struct json_writer *json)
{
    char text[32];

    for (size_t i = 0; i < check->n_files; i++) {
        const struct model_file_status *file = &check->files[i];

        if (!check->model && file->state == MODEL_FILE_ABSENT)
            continue; /* which files another model has is its own affair */
        if (!cli->json) {
            (void)printf("  %-36s %-8s %s\n", file->path, model_file_state_name(file->state),
                         cli_format_bytes((int64_t)file->n_bytes, text));
            continue;
        }
        json_begin_object(json);
        json_member_str(json, STR("path"), str_from_cstr(file->path));
        json_member_str(json, STR("state"), str_from_cstr(model_file_state_name(file->state)));
        json_member_i64(json, STR("bytes"), (int64_t)file->n_bytes);
        json_member_str(json, STR("sha256"), str_from_cstr(file->sha256));
        json_end_object(json);
    }
}

static void
report_prompt(const struct cli *cli, const char *name, const struct encoder_prompt *prompt,
              struct json_writer *json)
{
    if (!cli->json && prompt->text.len)
        (void)printf("  prompt of a %s: \"%.*s\" (by %.*s)\n", name, STR_ARG(prompt->text),
                     STR_ARG(prompt->origin));
    else if (!cli->json)
        (void)printf("  prompt of a %s: none (by %.*s)\n", name, STR_ARG(prompt->origin));
    if (!cli->json)
        return;
    json_name(json, str_from_cstr(name));
    json_begin_object(json);
    json_member_str(json, STR("text"), prompt->text);
    json_member_str(json, STR("origin"), prompt->origin);
    json_end_object(json);
}

/* Which prompts embedding and search use, and who says so. */
static int
report_prompts(const struct cli *cli, struct encoder *encoder,
               const struct embedder_options *embedding, struct json_writer *json,
               struct error *err)
{
    char identity[MODEL_IDENTITY_BYTES];
    struct encoder_prompts prompts;
    int rc = model_prompts_choose(encoder, embedding->query_prompt, embedding->document_prompt,
                                  &prompts, err);

    if (rc == 0)
        rc = model_prompts_identity(encoder_fingerprint(encoder), prompts.document.text, identity,
                                    err);
    if (rc < 0)
        return rc;
    json_name(json, STR("prompts"));
    json_begin_object(json);
    report_prompt(cli, "query", &prompts.query, json);
    report_prompt(cli, "document", &prompts.document, json);
    json_end_object(json);
    json_member_str(json, STR("vectors"), str_from_cstr(identity));
    if (!cli->json)
        (void)printf("  vectors of %s\n", identity);
    return 0;
}

/* What the encoder makes of the directory; files that are whole can still be of a foreign kind. */
static int
describe(const struct cli *cli, const char *dir, const struct embedder_options *embedding,
         struct json_writer *json, struct error *err)
{
    CLEANUP(encoder_closep) struct encoder *encoder = NULL;
    struct precision_notes notes;
    const struct encoder_options options = {
        .precision = embedding->precision,
        .min_cosine = embedding->min_cosine,
        .n_threads = embedding->n_threads,
        .notes = &notes.notes,
    };
    struct encoder_description facts;
    int rc;

    precision_notes_init(&notes, embedding->cache_dir);
    rc = encoder_open(dir, &options, &encoder, err);
    if (rc < 0)
        return rc;
    encoder_describe(encoder, &facts);
    if (!cli->json) {
        (void)printf("  %.*s, %zu layers of width %zu, %zu heads, %zu parameters, %.*s weights\n"
                     "  pooling %.*s%s%.*s, vectors of %zu numbers, texts up to %zu tokens\n"
                     "  runs in %.*s on %zu threads (%.*s)\n  fingerprint %.*s\n",
                     STR_ARG(facts.architecture), facts.n_layers, facts.hidden_size, facts.n_heads,
                     facts.n_parameters, STR_ARG(facts.weights), STR_ARG(facts.pooling),
                     facts.modules.len ? ", then " : "", STR_ARG(facts.modules), facts.dim,
                     facts.max_tokens, STR_ARG(facts.precision), facts.n_threads,
                     STR_ARG(facts.kernels), STR_ARG(facts.fingerprint));
        return report_prompts(cli, encoder, embedding, json, err);
    }
    json_member_str(json, STR("architecture"), facts.architecture);
    json_member_str(json, STR("pooling"), facts.pooling);
    json_member_str(json, STR("modules"), facts.modules);
    json_member_str(json, STR("precision"), facts.precision);
    json_member_str(json, STR("kernels"), facts.kernels);
    json_member_str(json, STR("fingerprint"), facts.fingerprint);
    json_member_i64(json, STR("layers"), (int64_t)facts.n_layers);
    json_member_i64(json, STR("dim"), (int64_t)facts.dim);
    json_member_i64(json, STR("max_tokens"), (int64_t)facts.max_tokens);
    json_member_i64(json, STR("parameters"), (int64_t)facts.n_parameters);
    json_member_i64(json, STR("threads"), (int64_t)facts.n_threads);
    return report_prompts(cli, encoder, embedding, json, err);
}

static const struct {
    struct str name;
    enum encoder_precision precision;
    const char *needs;
} precisions[] = {
    {STR_INIT("f32"), ENCODER_PRECISION_F32, ""},
    {STR_INIT("bf16"), ENCODER_PRECISION_BF16, "needs AVX512_BF16"},
    {STR_INIT("int8"), ENCODER_PRECISION_INT8, "needs AVX512_VNNI"},
};

/* why  of a precision that cannot be had; "" = it was probed */
static void
report_probe(const struct cli *cli, struct str name, const struct model_probe *probe,
             const char *why, struct json_writer *json)
{
    if (!cli->json && why[0])
        (void)printf("  %-9.*s  %s\n", STR_ARG(name), why);
    else if (!cli->json)
        (void)printf("  %-9.*s  %10.7f  %10.7f  %8.0f  %8.0f  %8.2f  %7.0f  %6.0f\n", STR_ARG(name),
                     probe->accuracy.min_cosine, probe->accuracy.mean_cosine, probe->texts_per_s,
                     probe->tokens_per_s, probe->query_ms, probe->open_ms,
                     (double)probe->memory_bytes / 1e6);
    if (!cli->json)
        return;
    json_begin_object(json);
    json_member_str(json, STR("precision"), name);
    json_member_bool(json, STR("is_available"), why[0] == '\0');
    if (why[0]) {
        json_member_str(json, STR("reason"), str_from_cstr(why));
    } else {
        json_member_str(json, STR("fingerprint"), str_from_cstr(probe->fingerprint));
        json_member_f64(json, STR("min_cosine"), probe->accuracy.min_cosine);
        json_member_f64(json, STR("mean_cosine"), probe->accuracy.mean_cosine);
        json_member_f64(json, STR("texts_per_s"), probe->texts_per_s);
        json_member_f64(json, STR("tokens_per_s"), probe->tokens_per_s);
        json_member_f64(json, STR("query_ms"), probe->query_ms);
        json_member_f64(json, STR("open_ms"), probe->open_ms);
        json_member_i64(json, STR("memory_bytes"), (int64_t)probe->memory_bytes);
    }
    json_end_object(json);
}

/* How exact and how fast each precision is here. */
static int
probe_precisions(const struct cli *cli, const char *dir, size_t n_threads, struct json_writer *json,
                 struct error *err)
{
    json_name(json, STR("precisions"));
    json_begin_array(json);
    if (!cli->json)
        (void)printf("  %-9s  %10s  %10s  %8s  %8s  %8s  %7s  %6s\n", "precision", "min cosine",
                     "mean", "texts/s", "tokens/s", "query ms", "open ms", "MB");
    for (size_t i = 0; i < COUNT_OF(precisions); i++) {
        struct model_probe probe = {0};
        struct error why = {0};
        int rc = model_probe_run(dir, precisions[i].precision, n_threads, &probe, &why);

        if (rc < 0 && rc != -ERR_UNSUPPORTED) {
            if (err)
                *err = why;
            return rc;
        }
        report_probe(cli, precisions[i].name, &probe,
                     rc < 0               ? why.message
                     : probe.is_available ? ""
                                          : precisions[i].needs,
                     json);
    }
    json_end_array(json);
    return 0;
}

static int
check_dir(const struct cli *cli, const char *dir, const struct embedder_options *embedding,
          struct arena *arena, struct buf *out, struct error *err)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    struct model_check check;
    int rc = model_store_check(dir, NULL, arena, &check, err);

    if (rc < 0)
        return rc;
    json_begin_object(&json);
    json_member_str(&json, STR("dir"), str_from_cstr(dir));
    json_member_str(&json, STR("model"), check.model ? str_from_cstr(check.model->repo) : STR_NULL);
    json_member_bool(&json, STR("is_usable"), check.is_usable);
    json_name(&json, STR("files"));
    json_begin_array(&json);
    if (!cli->json)
        (void)printf("%s: %s\n", dir,
                     check.model ? check.model->repo : "not one of the pinned models");
    print_files(cli, &check, &json);
    json_end_array(&json);
    if (check.is_usable)
        rc = describe(cli, dir, embedding, &json, err);
    if (rc == 0 && check.is_usable)
        rc = probe_precisions(cli, dir, embedding->n_threads, &json, err);
    json_end_object(&json);
    if (rc == 0 && cli->json)
        rc = cli_print(out, err);
    if (rc == 0 && !check.is_usable)
        rc = error_set(err, ERR_CORRUPT,
                       "the model in '%s' is not whole: 'trawl model pull' makes it so", dir);
    return rc;
}

static int
check(struct cli *cli, const struct cli_words *words, struct error *err)
{
    struct embedder_options options;
    struct arena arena = ARENA_INIT(MODEL_ARENA_BYTES);
    struct buf out = BUF_INIT(CLI_OUTPUT_BYTES);
    char dir[PATH_MAX];
    int rc = container_get_embedder_options(cli->app, &options, err);

    if (rc == 0 && words->n_items > 1)
        options.model = words->items[1];
    if (rc == 0)
        rc = embedder_model_dir(&options, dir, sizeof(dir), err);
    if (rc == 0)
        rc = check_dir(cli, dir, &options, &arena, &out, err);
    buf_fini(&out);
    arena_fini(&arena);
    return rc;
}

int
command_model(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct str from = STR_NULL;
    const struct cli_option options[] = {
        CLI_OPTION_TEXT("from", "DIR", &from, "pull: take the files from a directory"),
        CLI_OPTIONS_END,
    };
    struct cli_words words;
    int rc = cli_parse(cli, options, argc, argv, &words, err);

    if (rc == 0)
        rc = cli_expect_words(cli, &words, 1, 2, err);
    if (rc != 0)
        return rc;
    if (str_equal(words.items[0], STR("pull")))
        return pull(cli, &words, from, err);
    if (str_equal(words.items[0], STR("list")))
        return list(cli, err);
    if (str_equal(words.items[0], STR("check")))
        return check(cli, &words, err);
    return error_set(err, ERR_ARGS, "'model %.*s' is unknown: use pull, list or check",
                     STR_ARG(words.items[0]));
}
