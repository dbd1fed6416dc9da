/* base/id_map.h */

#include "tests/unit/check.h"

#include "base/id_map.h"

/* A bijection of 64 bits: distinct keys all over the range. */
static int64_t
key_of(uint64_t i)
{
    return (int64_t)(i * UINT64_C(0x9E3779B97F4A7C15));
}

static void
test_many_keys(void **state)
{
    CLEANUP(id_map_fini) struct id_map map = ID_MAP_INIT((size_t)64 << 20);
    const uint32_t n = 300000;
    uint32_t value = 7;
    struct error err;

    (void)state;
    assert_false(id_map_find(&map, 1, &value));
    for (uint32_t i = 0; i < n; i++) {
        int rc = id_map_insert(&map, key_of(i), i, NULL, &err);

        assert_int_equal(rc, 1);
    }
    assert_int_equal(map.n_keys, n);
    assert_true(map.n_slots * 12 <= (size_t)n * 24);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(id_map_find(&map, key_of(i), &value));
        assert_int_equal(value, i);
        assert_false(id_map_find(&map, key_of((uint64_t)n + i), &value));
        assert_int_equal(value, i); /* out survives */
    }
}

static void
test_edge_keys(void **state)
{
    static const int64_t keys[] = {0, -1, 1, INT64_MIN, INT64_MAX, INT64_C(1) << 32, UINT32_MAX};
    CLEANUP(id_map_fini) struct id_map map = ID_MAP_INIT((size_t)1 << 20);
    uint32_t value;

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(keys); i++)
        assert_int_equal(id_map_insert(&map, keys[i], ID_MAP_MAX_VALUE - i, &value, NULL), 1);
    for (uint32_t i = 0; i < COUNT_OF(keys); i++) {
        assert_int_equal(id_map_insert(&map, keys[i], 5, &value, NULL), 0);
        assert_int_equal(value, ID_MAP_MAX_VALUE - i); /* the first one stays */
    }
    assert_int_equal(map.n_keys, COUNT_OF(keys));
}

static void
test_ceiling(void **state)
{
    CLEANUP(id_map_fini) struct id_map map = ID_MAP_INIT(64 * 12);
    uint32_t value;
    struct error err;
    int64_t n = 0;
    int rc;

    (void)state;
    while ((rc = id_map_insert(&map, n, (uint32_t)n, NULL, &err)) == 1)
        n++;
    assert_int_equal(rc, -ERR_NOMEM);
    assert_string_equal(err.message, "no room for more than 48 ids in 768 bytes");
    assert_int_equal(n, 48);
    assert_true(id_map_find(&map, 47, &value)); /* what was there still is */
    assert_false(id_map_find(&map, 48, &value));
    id_map_fini(&map);
    assert_false(id_map_find(&map, 47, &value));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_edge_keys),
        cmocka_unit_test(test_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
