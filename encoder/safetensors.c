/* Parse, then check each entry alone, then sort by offset and check the cover, then sort by name.
 */

#include "encoder/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"

#define HEADER_MAX_BYTES ((uint64_t)1 << 20)

/* clang-format off */
static const struct {
    struct str name;
    enum tensor_type type;
    size_t value_bytes;
} types[] = {
    {STR_INIT("F32"),     TENSOR_F32,   4}, {STR_INIT("F16"),     TENSOR_F16,   2},
    {STR_INIT("BF16"),    TENSOR_BF16,  2}, {STR_INIT("F64"),     TENSOR_OTHER, 8},
    {STR_INIT("I64"),     TENSOR_OTHER, 8}, {STR_INIT("U64"),     TENSOR_OTHER, 8},
    {STR_INIT("I32"),     TENSOR_OTHER, 4}, {STR_INIT("U32"),     TENSOR_OTHER, 4},
    {STR_INIT("I16"),     TENSOR_OTHER, 2}, {STR_INIT("U16"),     TENSOR_OTHER, 2},
    {STR_INIT("I8"),      TENSOR_OTHER, 1}, {STR_INIT("U8"),      TENSOR_OTHER, 1},
    {STR_INIT("BOOL"),    TENSOR_OTHER, 1}, {STR_INIT("F8_E4M3"), TENSOR_OTHER, 1},
    {STR_INIT("F8_E5M2"), TENSOR_OTHER, 1},
};
/* clang-format on */

static int
parse_shape(const struct json *shape, struct tensor *out, struct error *err)
{
    if (!shape || shape->array.n_items > TENSOR_RANK_MAX)
        return error_set(err, ERR_INVALID,
                         "tensor '%.*s': shape is missing or has more than %d "
                         "dimensions",
                         STR_ARG(out->name), TENSOR_RANK_MAX);
    out->rank = shape->array.n_items;
    out->n_values = 1;
    for (size_t i = 0; i < out->rank; i++) {
        int64_t size;

        if (!json_is_i64(&shape->array.items[i], &size) || size < 0)
            return error_set(err, ERR_INVALID, "tensor '%.*s': shape[%zu] is not a whole number",
                             STR_ARG(out->name), i);
        out->shape[i] = (size_t)size;
        if (__builtin_mul_overflow(out->n_values, (size_t)size, &out->n_values))
            return error_set(err, ERR_INVALID, "tensor '%.*s': its shape overflows",
                             STR_ARG(out->name));
    }
    return 0;
}

/* The type and what it says about the size; an unknown type says nothing. */
static int
check_type(struct tensor *tensor, struct error *err)
{
    size_t n_bytes;

    tensor->type = TENSOR_UNKNOWN;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (!str_equal(types[i].name, tensor->type_name))
            continue;
        tensor->type = types[i].type;
        if (__builtin_mul_overflow(tensor->n_values, types[i].value_bytes, &n_bytes) ||
            n_bytes != tensor->bytes.len)
            return error_set(err, ERR_INVALID,
                             "tensor '%.*s': %zu values of %.*s do not fill %zu "
                             "bytes",
                             STR_ARG(tensor->name), tensor->n_values, STR_ARG(tensor->type_name),
                             tensor->bytes.len);
    }
    return 0;
}

static int
parse_tensor(const struct json_member *member, struct str data, struct tensor *out,
             struct error *err)
{
    const struct json *offsets = json_get_typed(&member->value, STR("data_offsets"), JSON_ARRAY);
    int64_t begin;
    int64_t end;
    int rc;

    *out = (struct tensor){.name = member->name};
    if (!offsets || offsets->array.n_items != 2 || !json_is_i64(&offsets->array.items[0], &begin) ||
        !json_is_i64(&offsets->array.items[1], &end))
        return error_set(err, ERR_INVALID, "tensor '%.*s': data_offsets is not [begin, end]",
                         STR_ARG(out->name));
    if (begin < 0 || end < begin || (uint64_t)end > data.len)
        return error_set(err, ERR_INVALID,
                         "tensor '%.*s': data_offsets [%" PRId64 ", %" PRId64
                         "] are not within %zu bytes of data",
                         STR_ARG(out->name), begin, end, data.len);
    out->bytes = str_slice(data, (size_t)begin, (size_t)end);
    out->type_name = json_get_str(&member->value, STR("dtype"));
    if (!out->type_name.ptr)
        return error_set(err, ERR_INVALID, "tensor '%.*s': dtype is missing", STR_ARG(out->name));
    rc = parse_shape(json_get_typed(&member->value, STR("shape"), JSON_ARRAY), out, err);
    return rc < 0 ? rc : check_type(out, err);
}

static int
compare_places(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;

    if (x->bytes.ptr != y->bytes.ptr)
        return x->bytes.ptr < y->bytes.ptr ? -1 : 1;
    return x->bytes.len < y->bytes.len ? -1 : x->bytes.len > y->bytes.len;
}

static int
compare_names(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;

    return str_compare(x->name, y->name);
}

/* Each tensor begins where the one before it ends, and the last ends with the file. */
static int
check_cover(struct tensor *tensors, size_t n_tensors, struct str data, struct error *err)
{
    const char *at = data.ptr;

    qsort(tensors, n_tensors, sizeof(*tensors), compare_places);
    for (size_t i = 0; i < n_tensors; i++) {
        if (tensors[i].bytes.ptr != at)
            return error_set(err, ERR_INVALID,
                             "tensor '%.*s': begins at byte %td of the data, "
                             "the one before it ends at %td",
                             STR_ARG(tensors[i].name), tensors[i].bytes.ptr - data.ptr,
                             at - data.ptr);
        at += tensors[i].bytes.len;
    }
    if (at != data.ptr + data.len)
        return error_set(err, ERR_INVALID, "the file has %td bytes behind its last tensor",
                         data.ptr + data.len - at);
    return 0;
}

static int
check_names(struct tensor *tensors, size_t n_tensors, struct error *err)
{
    qsort(tensors, n_tensors, sizeof(*tensors), compare_names);
    for (size_t i = 1; i < n_tensors; i++) {
        if (str_equal(tensors[i - 1].name, tensors[i].name))
            return error_set(err, ERR_INVALID, "tensor '%.*s' comes twice",
                             STR_ARG(tensors[i].name));
    }
    return 0;
}

/* Cut the file into header and data. */
static int
split_file(struct str file, struct str *header, struct str *data, struct error *err)
{
    uint64_t n_header = 0;

    if (file.len < 8)
        return error_set(err, ERR_INVALID, "a safetensors file of %zu bytes", file.len);
    for (size_t i = 8; i-- > 0;)
        n_header = n_header << 8 | (unsigned char)file.ptr[i];
    if (n_header > file.len - 8)
        return error_set(err, ERR_INVALID,
                         "the header's size is %" PRIu64 ", the file has %zu "
                         "bytes",
                         n_header, file.len);
    if (n_header > HEADER_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "the header has %" PRIu64 " bytes, more than %" PRIu64,
                         n_header, HEADER_MAX_BYTES);
    *header = str_slice(file, 8, 8 + (size_t)n_header);
    *data = str_slice(file, 8 + (size_t)n_header, file.len);
    if (header->len == 0 || header->ptr[0] != '{')
        return error_set(err, ERR_INVALID, "the header does not begin with '{'");
    return 0;
}

/* Strings by name, which nobody needs. */
static int
check_metadata(const struct json *metadata, struct error *err)
{
    bool is_good = metadata->type == JSON_OBJECT;

    for (size_t i = 0; is_good && i < metadata->object.n_members; i++)
        is_good = metadata->object.members[i].value.type == JSON_STRING;
    return is_good ? 0 : error_set(err, ERR_INVALID, "__metadata__ is not an object of strings");
}

int
safetensors_parse(struct str file, struct arena *arena, struct safetensors *out, struct error *err)
{
    static const struct json_limits limits = {.flags = JSON_STRICT_UTF8, .max_depth = 8};
    struct tensor *tensors;
    struct str header = STR_NULL;
    struct str data = STR_NULL;
    struct json root;
    size_t n_tensors = 0;
    int rc = split_file(file, &header, &data, err);

    if (rc == 0)
        rc = json_parse(header, &limits, arena, &root, err);
    if (rc < 0)
        return rc;
    tensors = arena_calloc(arena, root.object.n_members, sizeof(*tensors));
    if (!tensors)
        return error_set(err, ERR_NOMEM, "cannot hold %zu tensors", root.object.n_members);
    for (size_t i = 0; rc == 0 && i < root.object.n_members; i++) {
        const struct json_member *member = &root.object.members[i];

        if (str_equal(member->name, STR("__metadata__")))
            rc = check_metadata(&member->value, err);
        else
            rc = parse_tensor(member, data, &tensors[n_tensors++], err);
    }
    if (rc == 0)
        rc = check_cover(tensors, n_tensors, data, err);
    if (rc == 0)
        rc = check_names(tensors, n_tensors, err);
    if (rc == 0)
        *out = (struct safetensors){tensors, n_tensors};
    return rc;
}

const struct tensor *
safetensors_find(const struct safetensors *self, struct str name)
{
    const struct tensor key = {.name = name};

    if (self->n_tensors == 0)
        return NULL;
    return bsearch(&key, self->tensors, self->n_tensors, sizeof(key), compare_names);
}

/* IEEE half to single: normal numbers move their exponent, subnormal ones are scaled. */
static float
float_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 0x1Fu;
    uint32_t fraction = half & 0x3FFu;
    uint32_t bits;
    float value;

    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 0x1F ? 0xFFu : exponent + 112) << 23 | fraction << 13;
    (void)memcpy(&value, &bits, sizeof(value));
    return value;
}

void
tensor_read_f32(const struct tensor *self, size_t from, size_t n_values, float *out)
{
    const char *bytes = self->bytes.ptr + from * tensor_value_bytes(self->type);

    if (self->type == TENSOR_F32) {
        (void)memcpy(out, bytes, n_values * sizeof(*out));
        return;
    }
    for (size_t i = 0; i < n_values; i++) {
        uint16_t half;
        uint32_t bits;

        (void)memcpy(&half, bytes + i * sizeof(half), sizeof(half));
        bits = (uint32_t)half << 16;
        if (self->type == TENSOR_F16)
            out[i] = float_from_half(half);
        else
            (void)memcpy(&out[i], &bits, sizeof(bits));
    }
}

size_t
tensor_value_bytes(enum tensor_type type)
{
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (types[i].type == type && type != TENSOR_OTHER)
            return types[i].value_bytes;
    }
    return 0;
}
