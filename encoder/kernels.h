#pragma once

/* The arithmetic of a transformer, behind one interface: kernels_ref.c says what is meant in plain
 * loops, the others compute it fast, and tests compare them.
 *
 *     kernels_f32    oneDNN, AVX-512         kernels_bf16   oneDNN, AVX-512 BF16
 *     kernels_loops  f32 without a library   kernels_int8   oneDNN, AVX-512 VNNI
 *
 * Dimensions: T tokens of a micro-batch, H hidden, I inner, A heads, d = H / A per head, S tokens
 * of one text.  The residual stream x is f32 [T, H]; what a linear layer reads is an "activation"
 * matrix in the implementation's own format.
 *
 * One row's result must not depend on the other rows, nor on how many there are: that is what makes
 * a text's vector the same in every batch. */

#include <stdbool.h>
#include <stddef.h>

#include <trawl/encoder.h>
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

/* The four linear layers of a transformer's layer. */
enum linear_role {
    LINEAR_QKV,  /* y is what attend reads */
    LINEAR_OUT,  /* y is f32, added to x */
    LINEAR_UP,   /* y is the activations that DOWN reads */
    LINEAR_DOWN, /* y is f32, added to x */
};

/* y = activation(x W^T + b); borrowed for the call that packs it. */
struct linear_source {
    const float *weights; /* [n_out, n_in] row-major, 4-byte aligned */
    const float *bias;    /* [n_out] */
    size_t n_in;
    size_t n_out;
    enum activation_fn activation;
    enum linear_role role;
};

/* Self-attention of one text. */
struct attention_args {
    const void *qkv;            /* [S, 3H]: q (scaled by 1/sqrt d), k, v side by side */
    size_t n_tokens;            /* S */
    size_t n_heads;             /* A */
    size_t head_size;           /* d */
    const float *position_bias; /* [A, 2 * max_text - 1] by (j - i) + max_text - 1, or NULL */
    void *out;                  /* activations [T, H]; rows first_row to first_row + S */
    size_t first_row;
    const struct linear *reader; /* of out */
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
    void *out;                   /* activations [T, H], from row 0; may be x where they are f32 */
    const struct linear *reader; /* of out; NULL = nobody, out is left alone */
};

struct kernels_ops {
    const char *precision; /* "f32" */
    size_t row_multiple;   /* T is rounded up to this; the rows added hold anything finite */
    bool reads_x;          /* activations are f32: x itself serves as its own */

    /* Errors: ERR_NOMEM, ERR_UNSUPPORTED. */
    int (*create)(const struct kernels_sizes *sizes, struct kernels **out, struct error *err);
    void (*free)(struct kernels *self); /* also the linears */

    /* Bytes of an activation matrix of max_rows rows, and of one value of a qkv matrix. */
    size_t (*activation_bytes)(const struct kernels *self, size_t width);
    size_t (*qkv_value_bytes)(const struct kernels *self);

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
extern const struct kernels_ops kernels_loops;
extern const struct kernels_ops kernels_f32;
extern const struct kernels_ops kernels_bf16;
extern const struct kernels_ops kernels_int8;

/* The fastest kernels of a precision (not AUTO) on this CPU, or NULL: bf16 and int8 need
 * instructions of their own.  For f32 always some: oneDNN where its rows are independent of each
 * other (AVX-512), else kernels_loops. */
const struct kernels_ops *kernels_find(enum encoder_precision precision);
