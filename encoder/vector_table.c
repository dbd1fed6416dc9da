/* One level's functions; compiled once per level, with VECTOR_LEVEL and VECTOR_NAME given. */

#include "encoder/vector_ops.h"

void VECTOR_FN(attend)(const struct attention_args *args, size_t max_text, float *scratch);
size_t VECTOR_FN(attend_scratch_floats)(size_t max_text, size_t head_size);
void VECTOR_FN(norm)(const struct norm_args *args);
void VECTOR_FN(multiply)(const struct multiply_args *args, float *y);
void VECTOR_FN(dot)(const float *row, const float *queries, size_t n_queries, size_t dim,
                    float *scores);
uint64_t VECTOR_FN(score_codes)(const struct code_group *group, const struct vector_query *query,
                                float slack, float threshold, float *scores, float *reaches);

#if defined(__AVX512F__)
void VECTOR_FN(quantize)(const float *x, size_t n, uint8_t *to, struct row_scale *scale);
void VECTOR_FN(dequantize)(const int32_t *sums, size_t n_out, const struct row_scale *row,
                           const struct weight_scales *weights, enum activation_fn activation,
                           float *y);

static const struct vector_u8_ops u8_ops = {
    .quantize = VECTOR_FN(quantize),
    .dequantize = VECTOR_FN(dequantize),
};
#endif

#if defined(__AVX512BF16__)
void VECTOR_FN(convert_bf16)(const float *from, size_t n, uint16_t *to);
void VECTOR_FN(attend_bf16)(const struct attention_args *args, size_t max_text, void *scratch,
                            float *out_f32);
size_t VECTOR_FN(attend_bf16_scratch_bytes)(size_t max_text, size_t head_size);

static const struct vector_bf16_ops bf16_ops = {
    .convert = VECTOR_FN(convert_bf16),
    .attend = VECTOR_FN(attend_bf16),
    .attend_scratch_bytes = VECTOR_FN(attend_bf16_scratch_bytes),
};
#endif

extern const struct vector_ops VECTOR_FN(vector_ops);

const struct vector_ops VECTOR_FN(vector_ops) = {
    .name = VECTOR_NAME,
    .attend = VECTOR_FN(attend),
    .attend_scratch_floats = VECTOR_FN(attend_scratch_floats),
    .norm = VECTOR_FN(norm),
    .multiply = VECTOR_FN(multiply),
    .dot = VECTOR_FN(dot),
    .score_codes = VECTOR_FN(score_codes),
#if defined(__AVX512F__)
    .u8 = &u8_ops,
#endif
#if defined(__AVX512BF16__)
    .bf16 = &bf16_ops,
#endif
};
