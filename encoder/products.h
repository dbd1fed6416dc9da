#pragma once

/* Matrix products y = activation(x W^T + b), packed once and run many times: the matrix library
 * behind an interface of ours.
 *
 * T rows of x, K = n_in, N = n_out.  A row's result has the same bits whatever T is. */

#include <stddef.h>

#include <trawl/attributes.h>
#include <trawl/error.h>

#include "encoder/cpu_level.h"
#include "encoder/kernels.h"

#define PRODUCTS_ROW_MULTIPLE ((size_t)16) /* T is a multiple of it */

enum product_type {
    PRODUCT_F32,  /* x and W in f32 */
    PRODUCT_BF16, /* x and W in bf16, sums in f32 */
    PRODUCT_U8S8, /* x unsigned, W signed, sums in s32: no bias, no activation */
};

enum product_out {
    PRODUCT_OUT_F32,
    PRODUCT_OUT_BF16,
    PRODUCT_OUT_S32,
};

struct products; /* one encoder's */
struct product;  /* one layer's weights */

/* Borrowed for the call that packs it. */
struct product_source {
    enum product_type type;
    enum product_out out;
    size_t n_in;
    size_t n_out;
    const void *weights; /* [N, K] row-major: s8 for U8S8, else f32 */
    const float *bias;   /* [N], or NULL */
    enum activation_fn activation;
};

/* The highest level whose products are to be had here; below CPU_LEVEL_AVX512 there are none. */
enum cpu_level products_level(void);

/* max_rows is rounded up.  Errors: ERR_NOMEM, ERR_IO. */
MUST_CHECK int products_create(size_t n_workers, size_t max_rows, struct products **out,
                               struct error *err);
void products_free(struct products *self); /* also the products; NULL is fine */

/* The product lives as long as self.  Errors: ERR_NOMEM, ERR_IO (the library failed),
 * ERR_UNSUPPORTED (it would not multiply as we need it). */
MUST_CHECK int products_pack(struct products *self, const struct product_source *source,
                             struct product **out, struct error *err);

/* Make all products ready for n_rows rows.  Not thread-safe; free once a size was seen. */
MUST_CHECK int products_prepare(struct products *self, size_t n_rows, struct error *err);

/* x [T, K], y [T, N]; n_rows as prepared; a worker is used by one thread at a time. */
MUST_CHECK int products_apply(struct products *self, size_t worker, const struct product *product,
                              const void *x, size_t n_rows, void *y, struct error *err);

/* The calling thread's state around apply, pack and prepare: no threads of the library's own. */
int products_enter_thread(void);
void products_leave_thread(int previous);

/* The library's name of what multiplies. */
const char *products_implementation(const struct products *self);
