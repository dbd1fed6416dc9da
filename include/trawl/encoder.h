#pragma once

/* Sentence encoder: a sentence-transformers directory in, one vector per text out.
 *
 *     struct encoder *encoder;
 *     rc = encoder_open("models/all-MiniLM-L6-v2", NULL, &encoder, err);
 *     rc = encoder_embed(encoder, texts, n_texts, vectors, NULL, err);
 *     encoder_close(encoder);
 *
 * A directory is the only input: nothing is fetched, nothing is written.  A text's vector has the
 * same bits whatever batch, order or number of threads it ran in.
 *
 * One encoder serves one thread at a time; several may live in one process.  Open it after fork:
 * its matrix library keeps threads' state.  The weights are mapped read-only, so processes share
 * the word table through the page cache. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/error.h>
#include <trawl/str.h>

struct arena;
struct encoder;

/* The arithmetic of the transformer.  Its results differ, so it is part of the vectors' identity.
 */
enum encoder_precision {
    ENCODER_PRECISION_AUTO, /* bf16 where the CPU has it and the built-in check holds, else f32 */
    ENCODER_PRECISION_F32,
    ENCODER_PRECISION_BF16, /* AVX512_BF16: twice as fast, cosine to f32 about 0.99999 */
    ENCODER_PRECISION_INT8, /* AVX512_VNNI: faster again, about 0.999; never chosen by AUTO */
};

/* "auto", "f32", "bf16" or "int8".  Errors: ERR_ARGS, naming them. */
TRAWL_API MUST_CHECK int encoder_precision_parse(struct str text, enum encoder_precision *out,
                                                 struct error *err);

/* False where this CPU lacks the instructions. */
TRAWL_API bool encoder_precision_is_available(enum encoder_precision precision);

/* Where the outcome of AUTO's check is kept, so that it is made once per model and machine.
 *
 * find  false = nothing noted under the key
 * save  may fail silently: the check is made again then
 *
 * Called by encoder_open only; keys are text of at most 319 bytes without line breaks. */
struct encoder_notes {
    void *context;
    bool (*find)(void *context, struct str key, double *min_cosine);
    void (*save)(void *context, struct str key, double min_cosine);
};

/* All zero is a good choice. */
struct encoder_options {
    enum encoder_precision precision;
    double min_cosine;   /* AUTO's bound on the worst check text; 0 = 0.999; 1 = always f32 */
    size_t n_threads;    /* 0 = min(CPUs we may run on, cgroup v2 CPU quota) */
    size_t max_tokens;   /* per text, [CLS] and [SEP] included; 0 = the model's, and never more */
    size_t token_budget; /* tokens that one worker takes at a time; 0 = 384, at most 4096 */
    const struct encoder_notes *notes; /* borrowed for encoder_open; NULL = none */
};

/* What happened to a text; bits. */
enum encoder_flags {
    ENCODER_TRUNCATED = 1,    /* longer than max_tokens: its end did not count */
    ENCODER_INVALID_UTF8 = 2, /* bad bytes were read as U+FFFD, which BERT's normalizer drops */
};

struct encoder_ids {
    const int32_t *ids; /* [n_ids], special tokens included */
    size_t n_ids;
};

/* Facts to show; the strings live as long as the encoder. */
struct encoder_description {
    struct str architecture;  /* "bert", "mpnet" */
    struct str activation;    /* as config.json names it: "gelu" */
    struct str pooling;       /* "mean", "cls", "max+mean", ... */
    struct str modules;       /* what follows pooling: "normalize", "dense+normalize", "" */
    struct str tokenizer;     /* the file it was read from: "tokenizer.json" */
    struct str weights;       /* data type in the file: "F32", "F16", "BF16", "mixed" */
    struct str precision;     /* the one in use: "f32" */
    struct str kernels;       /* "oneDNN brg:avx512_core, loops avx512" */
    struct str fingerprint;   /* as encoder_fingerprint */
    size_t hidden_size;       /* H */
    size_t n_layers;          /* L */
    size_t n_heads;           /* A */
    size_t intermediate_size; /* I */
    size_t vocab_size;        /* rows of the word table */
    size_t n_parameters;      /* weights that are used (the pooler is not) */
    size_t max_tokens;        /* per text, special tokens included */
    size_t dim;               /* of the vectors */
    size_t n_threads;
};

/* Open a sentence-transformers directory of the BERT family or of MPNet.
 *
 * dir      config.json, model.safetensors and tokenizer.json or vocab.txt; modules.json,
 *          1_Pooling/config.json, sentence_bert_config.json and tokenizer_config.json when present
 * options  NULL = all defaults
 * out      the caller's, for encoder_close
 *
 * Costs about 0.1 s for all-MiniLM-L6-v2: every weight is read once, checked and packed; AUTO's
 * check, where nothing is noted, as much again.
 * Errors: ERR_NOT_FOUND (a file, by name), ERR_INVALID (a broken file: which field, which value),
 * ERR_UNSUPPORTED (a model that is not one of ours: what was found; a precision that this CPU has
 * not), ERR_ARGS (options), ERR_CONFIG (TRAWL_CPU_LEVEL, which sets a ceiling to the instructions
 * used), ERR_NOMEM. Source: the sentence-transformers directory layout; Devlin et al. 2019; Song et
 * al. 2020. */
TRAWL_API MUST_CHECK int encoder_open(const char *dir, const struct encoder_options *options,
                                      struct encoder **out, struct error *err);

/* NULL is fine. */
TRAWL_API void encoder_close(struct encoder *encoder);
TRAWL_API void encoder_closep(struct encoder **encoder); /* for CLEANUP */

/* Floats per vector. */
TRAWL_API size_t encoder_dim(const struct encoder *encoder);

/* The limit per text, special tokens included. */
TRAWL_API size_t encoder_max_tokens(const struct encoder *encoder);

/* Identity of everything that a vector depends on, to be stored beside it; vectors with different
 * fingerprints must not be compared.  "bert-l6-h384-mean/1b2c3d4e5f607182/f32-1": shape and pooling
 * for people, a hash over the content (weights, tokenizer, settings) and precision-engine version.
 * Neither the directory's name nor anything that does not change vectors is part of it.
 * At most 127 bytes; lives as long as the encoder. */
TRAWL_API struct str encoder_fingerprint(const struct encoder *encoder);

TRAWL_API void encoder_describe(const struct encoder *encoder, struct encoder_description *out);

/* An encoder's vectors beside those of f32, over the built-in texts. */
struct encoder_accuracy {
    size_t n_texts;
    double mean_cosine;
    double min_cosine;
};

/* Make the built-in check: opens the same directory in f32 beside the encoder, so it needs time and
 * memory like another encoder.  Not thread-safe.  Errors: encoder_open's and encoder_embed's. */
TRAWL_API MUST_CHECK int encoder_measure(struct encoder *encoder, struct encoder_accuracy *out,
                                         struct error *err);

/* The built-in texts, static. */
TRAWL_API const struct str *encoder_check_texts(size_t *n_texts);

/* The texts that a model's authors want in front of others. */
struct encoder_prompt {
    struct str text;   /* "query: "; empty = none */
    struct str origin; /* what says so, for people; absent = nothing in the directory does */
};

struct encoder_prompts {
    struct encoder_prompt query;    /* what is looked for */
    struct encoder_prompt document; /* what is looked through */
};

/* The prompts of the directory: those of config_sentence_transformers.json (query; document,
 * passage or corpus; else the default one); where it has none, those of a known family (e5,
 * bge-*-en) if config.json or the model card's own name tells it and the pooling fits.  They are
 * not used unless they are given to encoder_embed_prompted.  The strings live as long as the
 * encoder. */
TRAWL_API void encoder_get_prompts(const struct encoder *encoder, struct encoder_prompts *out);

/* Embed texts.
 *
 * texts  [n_texts]       UTF-8, borrowed for the call; cut at max_tokens, invalid bytes replaced
 * out    [n_texts, dim]  f32, row-major, caller's memory, any alignment
 * flags  [n_texts]       enum encoder_flags of each text; NULL = not wanted
 *
 * Every row is written, or none: after a failure out is untouched, or all zero if the failure came
 * after the first 512 texts.  An empty text is a valid input with a vector of its own.
 * Memory is bounded by a window of 512 texts; nothing is allocated once warm, except the stacks of
 * n_threads - 1 threads that live for the call.  Not thread-safe.
 * Errors: ERR_NOMEM, ERR_IO (the matrix library failed).
 * Source: Reimers & Gurevych 2019, "Sentence-BERT", section 3. */
TRAWL_API MUST_CHECK int encoder_embed(struct encoder *encoder, const struct str *texts,
                                       size_t n_texts, float *out, uint8_t *flags,
                                       struct error *err);

/* The same with a prompt in front of every text, as if it were part of it: it counts among the
 * tokens, and is pooled unless the model says otherwise (include_prompt).
 *
 * prompt  UTF-8, borrowed for the call; empty = encoder_embed
 *
 * Errors also: ERR_ARGS (the prompt leaves no room for a text). */
TRAWL_API MUST_CHECK int encoder_embed_prompted(struct encoder *encoder, struct str prompt,
                                                const struct str *texts, size_t n_texts, float *out,
                                                uint8_t *flags, struct error *err);

/* The token ids that encoder_embed would use.
 *
 * arena  the ids live as long as it does
 * flags  enum encoder_flags; NULL = not wanted
 *
 * Not thread-safe.  Errors: ERR_NOMEM. */
TRAWL_API MUST_CHECK int encoder_tokenize(struct encoder *encoder, struct str text,
                                          struct arena *arena, struct encoder_ids *out,
                                          uint8_t *flags, struct error *err);
