/* Plain loops along H: they vectorize, and each sum runs over the text's tokens in order. */

#include "encoder/pooling.h"

#include <math.h>
#include <string.h>

size_t
pooling_dim(unsigned modes, size_t hidden)
{
    return (size_t)__builtin_popcount(modes) * hidden;
}

/* out = scale * sum over tokens from first on of weight(t) x_t; weight is t + 1, or 1. */
static void
sum_tokens(const float *tokens, size_t first, size_t n_tokens, size_t hidden, bool is_weighted,
           float scale, float *out)
{
    (void)memset(out, 0, hidden * sizeof(*out));
    for (size_t t = first; t < n_tokens; t++) {
        const float *x = tokens + t * hidden; /* [H] */
        float weight = is_weighted ? (float)(t + 1) : 1.0f;

        for (size_t i = 0; i < hidden; i++)
            out[i] += weight * x[i];
    }
    for (size_t i = 0; i < hidden; i++)
        out[i] *= scale;
}

static void
max_tokens(const float *tokens, size_t n_tokens, size_t hidden, float *out)
{
    (void)memcpy(out, tokens, hidden * sizeof(*out));
    for (size_t t = 1; t < n_tokens; t++) {
        const float *x = tokens + t * hidden; /* [H] */

        for (size_t i = 0; i < hidden; i++)
            out[i] = x[i] > out[i] ? x[i] : out[i];
    }
}

void
pooling_run(unsigned modes, const float *tokens, size_t n_tokens, size_t n_skip, size_t hidden,
            float *out)
{
    const float *counted = tokens + n_skip * hidden; /* [n_tokens - n_skip, H] */
    float n = (float)(n_tokens - n_skip);
    float n_weights = (float)(n_tokens * (n_tokens + 1) - n_skip * (n_skip + 1)); /* twice */

    for (unsigned bit = 0; bit < POOLING_N_MODES; bit++) {
        switch (modes & 1u << bit) {
        case POOLING_CLS:
            (void)memcpy(out, counted, hidden * sizeof(*out));
            break;
        case POOLING_MAX:
            max_tokens(counted, n_tokens - n_skip, hidden, out);
            break;
        case POOLING_MEAN:
            sum_tokens(tokens, n_skip, n_tokens, hidden, false, 1.0f / n, out);
            break;
        case POOLING_MEAN_SQRT_LEN:
            sum_tokens(tokens, n_skip, n_tokens, hidden, false, 1.0f / sqrtf(n), out);
            break;
        case POOLING_WEIGHTED_MEAN:
            sum_tokens(tokens, n_skip, n_tokens, hidden, true, 2.0f / n_weights, out);
            break;
        case POOLING_LAST_TOKEN:
            (void)memcpy(out, tokens + (n_tokens - 1) * hidden, hidden * sizeof(*out));
            break;
        default:
            continue; /* a mode that is off takes no room */
        }
        out += hidden;
    }
}
