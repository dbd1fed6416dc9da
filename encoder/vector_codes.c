/* Rounding to 8 bits, once per vector; lengths in double, rounded away from zero. */

#include "encoder/vector_codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MAX 127.0f
#define NORM_MAX 1e18
#define SCALE_MIN                                                                                  \
    1e-30f /* below, dividing by the scale would not be safe; the codes are zeros then */
#define QUERY_MAX 16256 /* 128 * 127: high and low fit in a signed byte each */

#define LANES     64
#define LANE_STEP UINT32_C(0x9E3779B1) /* odd: a lane is a bijection of each of its words */

/* The next float that is not below value. */
static float
round_up(double value)
{
    float rounded = (float)value;

    return (double)rounded < value ? nextafterf(rounded, INFINITY) : rounded;
}

/* Length and greatest absolute value. */
static int
measure(const float *x, size_t dim, double *norm, float *max, struct error *err)
{
    double sum = 0;
    float greatest = 0;

    if (dim == 0 || dim > VECTOR_DIM_MAX)
        return error_set(err, ERR_INVALID, "a vector has 1 to %zu numbers, not %zu", VECTOR_DIM_MAX,
                         dim);
    for (size_t i = 0; i < dim; i++) {
        float value = fabsf(x[i]);

        if (!isfinite(value))
            return error_set(err, ERR_INVALID, "number %zu of a vector is not finite", i);
        greatest = value > greatest ? value : greatest;
        sum += (double)value * (double)value;
    }
    *norm = sqrt(sum) * (1 + 1e-9);
    if (*norm > NORM_MAX)
        return error_set(err, ERR_INVALID, "a vector of length %g is too long: at most %g", *norm,
                         NORM_MAX);
    *max = greatest;
    return 0;
}

int
vector_quantize(const float *x, size_t dim, int8_t *codes, struct vector_code *out,
                struct error *err)
{
    double norm;
    double left_over = 0;
    float max;
    float scale;
    int rc = measure(x, dim, &norm, &max, err);

    if (rc < 0)
        return rc;
    scale = max / CODE_MAX;
    if (scale < SCALE_MIN)
        scale = 0;
    for (size_t i = 0; i < dim; i++) {
        float code = scale > 0 ? rintf(x[i] / scale) : 0; /* rounding in x / scale may give 127.5 */
        double rest;

        code = code > CODE_MAX ? CODE_MAX : code < -CODE_MAX ? -CODE_MAX : code;
        rest = (double)x[i] - (double)scale * (double)code;
        left_over += rest * rest;
        codes[i] = (int8_t)code;
    }
    (void)memset(codes + dim, 0, vector_code_bytes(dim) - dim);
    *out = (struct vector_code){
        .scale = scale,
        .error = round_up(sqrt(left_over) * (1 + 1e-9)),
        .norm = round_up(norm),
    };
    return 0;
}

/* The greatest g with which no sum of dim products c g leaves 32 bits. */
static float
query_range(size_t dim)
{
    size_t most = (size_t)INT32_MAX / (128 * dim);

    return (float)(most < QUERY_MAX ? most : QUERY_MAX);
}

static void
round_query(struct vector_query *self, float max, int16_t *whole, int8_t *high, int8_t *low)
{
    float range = query_range(self->dim);
    double left_over = 0;

    self->step = max / range < SCALE_MIN ? 0 : max / range;
    for (size_t i = 0; i < self->dim; i++) {
        float g = self->step > 0 ? rintf(self->exact[i] / self->step) : 0;
        double rest;

        g = g > range ? range : g < -range ? -range : g;
        rest = (double)self->exact[i] - (double)self->step * (double)g;
        left_over += rest * rest;
        whole[i] = (int16_t)g;
        high[i] = (int8_t)((whole[i] + 64 - 128 * (whole[i] < -64)) / 128);
        low[i] = (int8_t)(whole[i] - 128 * high[i]);
        self->sum += whole[i];
    }
    self->left_over = round_up(sqrt(left_over) * (1 + 1e-9));
}

int
vector_query_create(const float *exact, size_t dim, struct vector_query **out, struct error *err)
{
    size_t n_codes = vector_code_bytes(dim);
    struct vector_query *self;
    double norm;
    float max;
    char *bytes;
    int rc = measure(exact, dim, &norm, &max, err);

    if (rc < 0)
        return rc;
    /* One block: the struct in its first 64-byte line or two, the three lists behind it. */
    bytes = aligned_alloc(VECTOR_CODE_ALIGN, 2 * VECTOR_CODE_ALIGN + 4 * n_codes);
    if (!bytes)
        return error_set(err, ERR_NOMEM, "no memory for a query of %zu numbers", dim);
    _Static_assert(sizeof(*self) <= 2 * VECTOR_CODE_ALIGN, "the struct fits in two lines");
    (void)memset(bytes, 0, 2 * VECTOR_CODE_ALIGN + 4 * n_codes);
    self = (struct vector_query *)(void *)bytes;
    bytes += 2 * VECTOR_CODE_ALIGN;
    self->dim = dim;
    self->exact = exact;
    self->norm = round_up(norm);
    self->whole = (const int16_t *)(const void *)bytes;
    self->high = (const int8_t *)(bytes + 2 * n_codes);
    self->low = (const int8_t *)(bytes + 3 * n_codes);
    round_query(self, max, (int16_t *)(void *)bytes, (int8_t *)(bytes + 2 * n_codes),
                (int8_t *)(bytes + 3 * n_codes));
    *out = self;
    return 0;
}

void
vector_query_free(struct vector_query *query)
{
    free(query);
}

void
vector_query_freep(struct vector_query **query)
{
    free(*query);
}

float
vector_query_slack(const struct vector_query *query, float max_norm)
{
    /* |scale c| <= 2 |x|: what rounding leaves of a number is never greater than the number.  An
     * f32 sum of dim products is within dim 2^-23 |x| |q| of the real one, twice what the worst
     * order of adding gives; the 8-bit score's conversion, products and sums are within 16 of the
     * same.  The last term is for products that fall below f32's normal range. */
    double reach = 2.0 * (double)max_norm;
    double sums = ((double)query->dim + 16) * ldexp(1, -23);

    return round_up(reach * (double)query->left_over +
                    sums * reach * ((double)query->norm + (double)query->left_over) + 1e-35);
}

uint64_t
vector_checksum(const void *bytes, size_t n_bytes)
{
    const unsigned char *from = bytes;
    uint32_t lanes[LANES];
    uint64_t sum = n_bytes;

    for (size_t i = 0; i < LANES; i++)
        lanes[i] = (uint32_t)i;
    while (n_bytes > 0) {
        size_t n = n_bytes < sizeof(lanes) ? n_bytes : sizeof(lanes);
        uint32_t words[LANES];

        if (n < sizeof(lanes))
            (void)memset(words, 0, sizeof(words));
        (void)memcpy(words, from, n);
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = lanes[i] * LANE_STEP + words[i];
        from += n;
        n_bytes -= n;
    }
    for (size_t i = 0; i < LANES; i++) {
        sum = (sum ^ lanes[i]) * UINT64_C(0xff51afd7ed558ccd);
        sum ^= sum >> 33;
    }
    return sum;
}
