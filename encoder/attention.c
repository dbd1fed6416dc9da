/* Softmax attention for texts of at most a few hundred tokens: no S x S matrix, no online softmax.
 *
 * S tokens, d head size; Sp and dp are S and d rounded up to whole registers.  Per head, K is
 * turned into columns [d, Sp] and V copied to [S, dp]; then ROWS query rows at a time: their scores
 * [ROWS, Sp] stay in the first-level cache, are turned into weights, and V's rows are summed in
 * registers.  The division by the weights' sum comes last. */

#include "encoder/vector_float.h"
#include "encoder/vector_ops.h"

#if LANES == 16
#define ROWS 6 /* 12 accumulators of 32 registers */
#else
#define ROWS 2 /* 4 accumulators of 16 */
#endif

#define STEP         ((size_t)LANES * 2) /* columns per pass */
#define MASKED_SCORE (-1e30f)

void VECTOR_FN(attend)(const struct attention_args *args, size_t max_text, float *scratch);
size_t VECTOR_FN(attend_scratch_floats)(size_t max_text, size_t head_size);

static size_t
round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* One head's operands. */
struct head {
    const float *q;    /* rows of [S, 3H] */
    size_t stride;     /* 3H */
    float *k_columns;  /* [d, Sp] */
    float *v_rows;     /* [S, dp] */
    float *scores;     /* [ROWS, Sp] */
    const float *bias; /* by j - i, at its middle; or NULL */
    size_t n_tokens;   /* S */
    size_t n_columns;  /* Sp */
    size_t head_size;  /* d */
    size_t padded;     /* dp */
    float *out;        /* rows of [S, H] */
    size_t out_stride;
};

static void
copy_keys_and_values(const struct head *head, const float *k, const float *v)
{
    size_t n_columns = head->n_columns;

    for (size_t j0 = 0; j0 < n_columns; j0 += LANES) {
        for (size_t c = 0; c < head->head_size; c++) {
            float *column = head->k_columns + c * n_columns + j0;

            for (size_t l = 0; l < LANES; l++)
                column[l] = j0 + l < head->n_tokens ? k[(j0 + l) * head->stride + c] : 0.0f;
        }
    }
    for (size_t j = 0; j < head->n_tokens; j++) {
        float *row = head->v_rows + j * head->padded;

        (void)memcpy(row, v + j * head->stride, head->head_size * sizeof(*row));
        for (size_t c = head->head_size; c < head->padded; c++)
            row[c] = 0.0f;
    }
}

/* scores[r, j] = q[r] . k[j] */
VECTOR_INLINE void
score_rows(const struct head *head, size_t row, size_t n_rows)
{
    const float *q = head->q + row * head->stride;

    for (size_t j = 0; j < head->n_columns; j += STEP) {
        vfloat sums[ROWS][2] = {0};

        for (size_t c = 0; c < head->head_size; c++) {
            const float *column = head->k_columns + c * head->n_columns + j;
            vfloat k0 = vfloat_load(column);
            vfloat k1 = vfloat_load(column + LANES);

            for (size_t r = 0; r < n_rows; r++) {
                sums[r][0] += q[r * head->stride + c] * k0;
                sums[r][1] += q[r * head->stride + c] * k1;
            }
        }
        for (size_t r = 0; r < n_rows; r++) {
            vfloat_store(head->scores + r * head->n_columns + j, sums[r][0]);
            vfloat_store(head->scores + r * head->n_columns + j + LANES, sums[r][1]);
        }
    }
}

/* Scores to e^(score - max), padding to none; returns their sum. */
VECTOR_INLINE float
exponentiate(const struct head *head, size_t row, float *scores)
{
    vfloat highest = vfloat_all(MASKED_SCORE);
    vfloat sum = {0};

    if (head->bias) {
        for (size_t j = 0; j < head->n_tokens; j++)
            scores[j] += (head->bias - row)[j];
    }
    for (size_t j = head->n_tokens; j < head->n_columns; j++)
        scores[j] = MASKED_SCORE;
    for (size_t j = 0; j < head->n_columns; j += LANES)
        highest = vfloat_max(highest, vfloat_load(scores + j));
    highest = vfloat_all(vfloat_max_lane(highest));
    for (size_t j = 0; j < head->n_columns; j += LANES) {
        vfloat weight = vfloat_exp(vfloat_load(scores + j) - highest);

        vfloat_store(scores + j, weight);
        sum += weight;
    }
    return vfloat_sum(sum);
}

/* out[r, c0 .. c0 + STEP) = sum over j of weights[r, j] v[j] / total[r] */
VECTOR_INLINE void
sum_values(const struct head *head, size_t row, size_t n_rows, size_t c0, const float *totals)
{
    bool is_wide = head->padded - c0 > LANES;
    size_t n_left = head->head_size - c0 < STEP ? head->head_size - c0 : STEP;
    vfloat sums[ROWS][2] = {0};

    for (size_t j = 0; j < head->n_tokens; j++) {
        const float *v = head->v_rows + j * head->padded + c0;
        vfloat v0 = vfloat_load(v);
        vfloat v1 = is_wide ? vfloat_load(v + LANES) : v0;

        for (size_t r = 0; r < n_rows; r++) {
            float weight = head->scores[r * head->n_columns + j];

            sums[r][0] += weight * v0;
            sums[r][1] += weight * v1;
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        float values[STEP];

        vfloat_store(values, sums[r][0] / totals[r]);
        vfloat_store(values + LANES, sums[r][1] / totals[r]);
        (void)memcpy(head->out + (row + r) * head->out_stride + c0, values,
                     n_left * sizeof(*values));
    }
}

VECTOR_INLINE void
attend_rows(const struct head *head, size_t row, size_t n_rows)
{
    float totals[ROWS];

    score_rows(head, row, n_rows);
    for (size_t r = 0; r < n_rows; r++)
        totals[r] = exponentiate(head, row + r, head->scores + r * head->n_columns);
    for (size_t c0 = 0; c0 < head->head_size; c0 += STEP)
        sum_values(head, row, n_rows, c0, totals);
}

/* Rows in blocks; the last block reaches back, so that nearly no row is done alone. */
static void
attend_head(const struct head *head)
{
    size_t n_tokens = head->n_tokens;

    if (n_tokens < ROWS) {
        for (size_t row = 0; row < n_tokens; row++)
            attend_rows(head, row, 1);
        return;
    }
    for (size_t row = 0; row < n_tokens; row += ROWS)
        attend_rows(head, row + ROWS > n_tokens ? n_tokens - ROWS : row, ROWS);
}

size_t
VECTOR_FN(attend_scratch_floats)(size_t max_text, size_t head_size)
{
    size_t n_columns = round_up(max_text, STEP);

    return n_columns * (head_size + round_up(head_size, LANES) + ROWS);
}

void
VECTOR_FN(attend)(const struct attention_args *args, size_t max_text, float *scratch)
{
    const float *qkv = args->qkv;
    size_t d = args->head_size;
    size_t hidden = args->n_heads * d;
    struct head head = {
        .stride = 3 * hidden,
        .n_tokens = args->n_tokens,
        .n_columns = round_up(args->n_tokens, STEP),
        .head_size = d,
        .padded = round_up(d, LANES),
        .out_stride = hidden,
    };

    head.k_columns = scratch;
    head.v_rows = head.k_columns + d * head.n_columns;
    head.scores = head.v_rows + head.n_tokens * head.padded;
    for (size_t a = 0; a < args->n_heads; a++) {
        head.q = qkv + a * d;
        if (args->position_bias)
            head.bias = args->position_bias + a * (2 * max_text - 1) + max_text - 1;
        head.out = (float *)args->out + args->first_row * hidden + a * d;
        copy_keys_and_values(&head, qkv + hidden + a * d, qkv + 2 * hidden + a * d);
        attend_head(&head);
    }
}
