#pragma once

/* The activation functions on registers; kernels_activate says what they are. */

#include "encoder/kernels.h"
#include "encoder/vector_float.h"

/* Magnitude and sign of x apart. */
VECTOR_INLINE vfloat
split_sign(vfloat x, vint *sign)
{
    vint bits;

    (void)memcpy(&bits, &x, sizeof(bits));
    *sign = bits & INT32_MIN;
    bits = bits & INT32_MAX;
    (void)memcpy(&x, &bits, sizeof(x));
    return x;
}

VECTOR_INLINE vfloat
join_sign(vfloat magnitude, vint sign)
{
    vint bits;

    (void)memcpy(&bits, &magnitude, sizeof(bits));
    bits |= sign;
    (void)memcpy(&magnitude, &bits, sizeof(magnitude));
    return magnitude;
}

/* Within 1.5e-7.  Source: Abramowitz & Stegun 7.1.26. */
VECTOR_INLINE vfloat
erf_of(vfloat x)
{
    vint sign;
    vfloat z = split_sign(x, &sign);
    vfloat t = 1.0f / (1.0f + 0.3275911f * z);
    vfloat y = t * 1.061405429f - 1.453152027f;

    y = y * t + 1.421413741f;
    y = y * t - 0.284496736f;
    y = y * t + 0.254829592f;
    return join_sign(1.0f - y * t * vfloat_exp(-(z * z)), sign);
}

VECTOR_INLINE vfloat
tanh_of(vfloat x)
{
    vint sign;
    vfloat z = split_sign(x, &sign);
    vfloat e = vfloat_exp(-2.0f * z);

    return join_sign((1.0f - e) / (1.0f + e), sign);
}

VECTOR_INLINE vfloat
vfloat_activate(enum activation_fn fn, vfloat x)
{
    switch (fn) {
    case ACTIVATION_GELU_ERF:
        return 0.5f * x * (1.0f + erf_of(x * 0.70710678118654752f));
    case ACTIVATION_GELU_TANH:
        return 0.5f * x * (1.0f + tanh_of(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case ACTIVATION_RELU:
        return vfloat_max(x, vfloat_all(0));
    case ACTIVATION_TANH:
        return tanh_of(x);
    case ACTIVATION_NONE:
        break;
    }
    return x;
}
