#pragma once

/* The arithmetic of a transformer, behind one interface: kernels_ref.c says what is meant in plain
 * loops, kernels_dnnl.c and kernels_loops.c compute it fast, and tests compare them.
 *
 * Dimensions: T tokens of a micro-batch, H hidden, I inner, A heads, d = H / A per head, S tokens
 * of one text.  The residual stream x is f32 [T, H]; what a linear layer reads is an "activation"
 * in the implementation's own format, activation_bytes per value (f32 in all of today's).
 *
 * One row's result must not depend on the other rows, nor on how many there are: that is what makes
 * a text's vector the same in every batch. */

#include <stdbool.h>
#include <stddef.h>

#include <trawl/error.h>

enum activation_fn {
    ACTIVATION_NONE,
    ACTIVATION_GELU_ERF,  /* x/2 (1 + erf(x / sqrt 2)) */
    ACTIVATION_GELU_TANH, /* its usual approximation */
    ACTIVATION_RELU,
    ACTIVATION_TANH,
};

struct kernels; /* one encoder's: thread-safe where said, with working memory per worker */
struct linear;  /* packed weights of one layer */

/* Sizes that are known when the model is opened. */
struct kernels_sizes {
    size_t n_workers;
    size_t max_rows; /* T, padding included */
    size_t max_text; /* S */
    size_t head_size;
};

/* y = activation(x W^T + b); borrowed for the call that packs it. */
struct linear_source {
    const float *weights; /* [n_out, n_in] row-major, 4-byte aligned */
    const float *bias;    /* [n_out] */
    size_t n_in;
    size_t n_out;
    enum activation_fn activation;
    bool feeds_linear; /* y is stored as activations for the next linear, else as f32 */
};

/* Self-attention of one text. */
struct attention_args {
    const float *qkv;           /* [S, 3H]: q (scaled by 1/sqrt d), k, v side by side */
    size_t n_tokens;            /* S */
    size_t n_heads;             /* A */
    size_t head_size;           /* d */
    const float *position_bias; /* [A, 2 * max_text - 1] by (j - i) + max_text - 1, or NULL */
    void *out;                  /* [S, H] activations */
};

/* x = LayerNorm(x + delta) gamma + beta, also stored as activations. */
struct norm_args {
    float *x;           /* [n_rows, H] in and out */
    const float *delta; /* [n_rows, H], or NULL for none */
    const float *gamma; /* [H] */
    const float *beta;  /* [H] */
    float eps;          /* inside the root */
    size_t n_rows;
    size_t hidden;
    void *out; /* [n_rows, H] activations; may be x itself where they are f32 */
};

struct kernels_ops {
    const char *precision;   /* "f32" */
    size_t activation_bytes; /* per value */
    size_t row_multiple;     /* T is rounded up to this; the rows added hold zeros */

    /* Errors: ERR_NOMEM, ERR_UNSUPPORTED. */
    int (*create)(const struct kernels_sizes *sizes, struct kernels **out, struct error *err);
    void (*free)(struct kernels *self); /* also the linears */

    /* The linear lives as long as self.  Errors: ERR_NOMEM, ERR_IO (the library failed). */
    int (*pack)(struct kernels *self, const struct linear_source *source, struct linear **out,
                struct error *err);

    /* Make all linears ready for n_rows rows (a multiple of row_multiple).  Not thread-safe; free
     * once a size was seen.  Errors as pack's. */
    int (*prepare)(struct kernels *self, size_t n_rows, struct error *err);

    /* x, y: [n_rows, n_in], [n_rows, n_out]; n_rows as prepared; worker < n_workers,
     * each used by one thread at a time.  Errors: ERR_IO. */
    int (*apply)(struct kernels *self, size_t worker, const struct linear *linear, const void *x,
                 size_t n_rows, void *y, struct error *err);

    void (*attend)(struct kernels *self, size_t worker, const struct attention_args *args);
    void (*norm)(struct kernels *self, const struct norm_args *args);

    /* One thread's state around apply: enter before the first, leave after the last.  What enter
     * returns is for leave. */
    int (*enter_thread)(void);
    void (*leave_thread)(int previous);

    /* The implementation in use, for people; out holds n_bytes. */
    void (*describe)(const struct kernels *self, char *out, size_t n_bytes);
};

/* The function itself, exact. */
double kernels_activate(enum activation_fn fn, double x);

extern const struct kernels_ops kernels_ref;
extern const struct kernels_ops kernels_dnnl;
extern const struct kernels_ops kernels_loops;

/* kernels_dnnl where its rows are independent of each other (AVX-512), else kernels_loops. */
const struct kernels_ops *kernels_best(void);
