/* encoder/safetensors.h: hostile containers, and the three number formats. */

#include "tests/unit/check.h"

#include <stdlib.h>

#include "encoder/fingerprint.h"
#include "encoder/safetensors.h"

#define ARENA_BYTES ((size_t)8 << 20)

/* A file from its header and so many bytes of data; for free(). */
static struct str
make_file(const char *header, uint64_t header_bytes, size_t n_data)
{
    size_t n_header = strlen(header);
    char *bytes = calloc(8 + n_header + n_data + 1, 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (char)(header_bytes >> (8 * i));
    (void)memcpy(bytes + 8, header, n_header);
    return (struct str){bytes, 8 + n_header + n_data};
}

#define TENSOR(name, type, shape, begin, end)                                                      \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const struct {
    const char *header;
    size_t n_data;
    int rc;
    const char *told;
} containers[] = {
    {"{}", 0, 0, NULL},
    {"{}   ", 0, 0, NULL},
    {"{\"__metadata__\":{\"format\":\"pt\"}}", 0, 0, NULL},
    {"{" TENSOR("a", "F32", "[2,3]", "0", "24") "}", 24, 0, NULL},
    {"{" TENSOR("a", "F32", "[]", "0", "4") "," TENSOR("b", "I64", "[0,5]", "4", "4") "}", 4, 0,
     NULL},
    {"{" TENSOR("b", "F16", "[1]", "4", "6") "," TENSOR("a", "F32", "[1]", "0", "4") "}", 6, 0,
     NULL},
    {"{" TENSOR("a", "Q4", "[7]", "0", "3") "}", 3, 0, NULL}, /* fine while nobody needs it */
    {"{}", 1, -ERR_INVALID, "behind its last tensor"},
    {"[]", 0, -ERR_INVALID, "begin with '{'"},
    {" {}", 0, -ERR_INVALID, "begin with '{'"},
    {"", 0, -ERR_INVALID, "begin with '{'"},
    {"{", 0, -ERR_INVALID, "JSON"},
    {"{\"a\xFF\":1}", 0, -ERR_INVALID, "UTF-8"},
    {"{\"a\":1}", 0, -ERR_INVALID, "data_offsets"},
    {"{\"__metadata__\":7}", 0, -ERR_INVALID, "__metadata__"},
    {"{\"__metadata__\":{\"a\":7}}", 0, -ERR_INVALID, "__metadata__"},
    {"{" TENSOR("a", "F32", "[2]", "0", "4") "}", 4, -ERR_INVALID, "do not fill"},
    {"{" TENSOR("a", "F32", "[1]", "1", "5") "}", 5, -ERR_INVALID, "begins at byte 1"},
    {"{" TENSOR("a", "F32", "[1]", "0", "8") "}", 4, -ERR_INVALID, "not within"},
    {"{" TENSOR("a", "F32", "[1]", "4", "0") "}", 4, -ERR_INVALID, "not within"},
    {"{" TENSOR("a", "F32", "[1]", "-4", "0") "}", 4, -ERR_INVALID, "not within"},
    {"{" TENSOR("a", "F32", "[1]", "0", "1e300") "}", 4, -ERR_INVALID, "data_offsets"},
    {"{" TENSOR("a", "F32", "[-1]", "0", "4") "}", 4, -ERR_INVALID, "shape[0]"},
    {"{" TENSOR("a", "F32", "[1.5]", "0", "4") "}", 4, -ERR_INVALID, "shape[0]"},
    {"{" TENSOR("a", "F32", "7", "0", "4") "}", 4, -ERR_INVALID, "shape"},
    {"{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, -ERR_INVALID, "dimensions"},
    {"{" TENSOR("a", "F32", "[4611686018427387904,4,1]", "0", "4") "}", 4, -ERR_INVALID,
     "overflows"},
    {"{" TENSOR("a", "F32", "[4611686018427387905]", "0", "4") "}", 4, -ERR_INVALID, "do not fill"},
    {"{" TENSOR("a", "F32", "[1]", "0", "4") "," TENSOR("b", "F32", "[1]", "0", "4") "}", 4,
     -ERR_INVALID, "begins at byte 0"},
    {"{" TENSOR("a", "F32", "[2]", "0", "8") "," TENSOR("b", "F32", "[2]", "4", "12") "}", 12,
     -ERR_INVALID, "begins at byte 4"},
    {"{" TENSOR("a", "F32", "[1]", "0", "4") "," TENSOR("a", "F32", "[1]", "4", "8") "}", 8,
     -ERR_INVALID, "comes twice"},
    {"{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, -ERR_INVALID, "dtype"},
};

static void
test_containers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(containers); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct str file =
            make_file(containers[i].header, strlen(containers[i].header), containers[i].n_data);
        struct safetensors out = {.n_tensors = 77};
        struct error err = {0};
        int rc = safetensors_parse(file, &arena, &out, &err);

        if (rc != containers[i].rc ||
            (containers[i].told && !strstr(err.message, containers[i].told)))
            fail_msg("row %zu: %d, %s", i, rc, err.message);
        if (rc < 0)
            assert_int_equal(out.n_tensors, 77); /* out survives a failure */
        arena_fini(&arena);
        free((void *)(uintptr_t)file.ptr);
    }
}

/* Sizes that the file does not have; nothing large is allocated on their word. */
static void
test_header_sizes(void **state)
{
    static const struct {
        uint64_t header_bytes;
        size_t file_bytes;
        int rc;
    } rows[] = {
        {0, 0, -ERR_INVALID},
        {0, 7, -ERR_INVALID},
        {0, 8, -ERR_INVALID},
        {3, 10, -ERR_INVALID},
        {UINT64_MAX, 10, -ERR_INVALID},
        {UINT64_MAX - 7, 10, -ERR_INVALID},
        {(uint64_t)1 << 40, 100, -ERR_INVALID},
        {(2 << 20), 8 + (2 << 20), -ERR_TOO_LARGE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct str file = make_file("{}", rows[i].header_bytes, (size_t)2 << 20);
        struct safetensors out;

        file.len = rows[i].file_bytes;
        assert_int_equal(safetensors_parse(file, &arena, &out, NULL), rows[i].rc);
        assert_true(arena.used < 4096);
        arena_fini(&arena);
        free((void *)(uintptr_t)file.ptr);
    }
}

static void
test_reading(void **state)
{
    static const unsigned char f32[] = {0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC1};
    static const unsigned char f16[] = {0x00, 0x3C, 0x00, 0xC9, 0x01, 0x00, 0xFF,
                                        0x7B, 0x00, 0x80, 0x00, 0x04, 0xFF, 0x03};
    static const unsigned char bf16[] = {0x80, 0x3F, 0x20, 0xC1, 0x00, 0x80};
    static const struct {
        enum tensor_type type;
        const unsigned char *bytes;
        size_t n_values;
        float values[7];
    } rows[] = {
        {TENSOR_F32, f32, 2, {1, -10}},
        {TENSOR_F16, f16, 7, {1, -10, 0x1p-24f, 65504, -0.0f, 0x1p-14f, 0x1.ff8p-15f}},
        {TENSOR_BF16, bf16, 3, {1, -10, -0.0f}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char odd[64]; /* data may stand at any address */
        struct tensor tensor = {.type = rows[i].type};
        size_t n_bytes = rows[i].n_values * tensor_value_bytes(rows[i].type);
        float values[7];

        (void)memcpy(odd + 1, rows[i].bytes, n_bytes);
        tensor.bytes = (struct str){odd + 1, n_bytes};
        tensor_read_f32(&tensor, 0, rows[i].n_values, values);
        assert_memory_equal(values, rows[i].values, rows[i].n_values * sizeof(float));
        tensor_read_f32(&tensor, 1, rows[i].n_values - 1, values);
        assert_memory_equal(values, rows[i].values + 1, (rows[i].n_values - 1) * sizeof(float));
    }
}

/* Any bit of any weight changes the fingerprint; infinities and NaN are seen. */
static void
test_fingerprint(void **state)
{
    static float values[3000];
    struct tensor tensor = {.type = TENSOR_F32,
                            .n_values = COUNT_OF(values),
                            .bytes = {(const char *)values, sizeof(values)}};
    char first[17];

    (void)state;
    for (size_t round = 0; round < 200; round++) {
        size_t at = round * 2971 % COUNT_OF(values);
        struct fingerprint fingerprint;
        uint32_t bits;
        char hash[17];

        (void)memset(values, 0, sizeof(values));
        if (round > 0) {
            bits = UINT32_C(1) << (round % 2 ? 31 : round % 23); /* signs, and low bits */
            (void)memcpy(&values[at], &bits, sizeof(bits));
            (void)memcpy(&values[(at + 16) % COUNT_OF(values)], &bits, sizeof(bits));
        }
        fingerprint_init(&fingerprint);
        assert_true(fingerprint_add_tensor(&fingerprint, &tensor));
        assert_int_equal(fingerprint_finish(&fingerprint, STR(""), hash, NULL), 0);
        if (round == 0)
            (void)memcpy(first, hash, sizeof(first));
        else
            assert_string_not_equal(hash, first);
    }
    for (size_t i = 0; i < 3; i++) {
        static const uint32_t bad[] = {0x7F800000u, 0xFF800000u, 0x7FC00001u};
        struct fingerprint fingerprint;

        (void)memset(values, 0, sizeof(values));
        (void)memcpy(&values[i * 1499], &bad[i], sizeof(bad[i]));
        fingerprint_init(&fingerprint);
        assert_false(fingerprint_add_tensor(&fingerprint, &tensor));
    }
}

/* An arena of any size: the result, or ERR_NOMEM. */
static void
test_small_arenas(void **state)
{
    const char *header =
        "{" TENSOR("a", "F32", "[1]", "0", "4") "," TENSOR("b", "F32", "[1]", "4", "8") "}";
    struct str file = make_file(header, strlen(header), 8);
    size_t n_failed = 0;

    (void)state;
    for (size_t limit = 0; limit < 8192; limit += 64) {
        struct arena arena = ARENA_INIT(limit);
        struct safetensors out;
        int rc = safetensors_parse(file, &arena, &out, NULL);

        assert_true(rc == 0 || rc == -ERR_NOMEM);
        n_failed += rc < 0;
        arena_fini(&arena);
    }
    assert_true(n_failed > 0 && n_failed < 128);
    free((void *)(uintptr_t)file.ptr);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers),   cmocka_unit_test(test_header_sizes),
        cmocka_unit_test(test_small_arenas), cmocka_unit_test(test_reading),
        cmocka_unit_test(test_fingerprint),
    };

    return cmocka_run_group_tests_name("encoder/safetensors", tests, NULL, NULL);
}
