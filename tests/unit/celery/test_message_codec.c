/* celery/codec_base64.h and celery/codec_compress.h. */

#include "tests/unit/check.h"

#include "celery/codec_base64.h"
#include "celery/codec_compress.h"

#define MIB ((size_t)1 << 20)

static void
test_base64(void **state)
{
    static const struct {
        const char *text;
        const char *bytes; /* NULL = refused */
    } rows[] = {
        /* RFC 4648 section 10 */
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        /* all of the alphabet's ends */
        {"+/+/", "\xFB\xFF\xBF"},
        {"Zm9v\r\nYmFy\n", "foobar"},
        {" Zg = =", "f"},
        {"Zh==", "f"}, /* bits that are over */
        {"Z", NULL},
        {"Zg", NULL},
        {"Zg=", NULL},
        {"Zm8", NULL},
        {"Zm8==", NULL},
        {"Zg===", NULL},
        {"=", NULL},
        {"Zm9v=", NULL},
        {"Zg==Zg==", NULL},
        {"Zm9-", NULL},
        {"Zm9v\xC3\xA9", NULL},
        {"Zm9v\x01", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str text = str_from_cstr(rows[i].text);
        char bytes[64];
        size_t n = 99;
        int rc = celery_base64_decode(text, bytes, &n, NULL);

        if (!rows[i].bytes) {
            assert_int_equal(rc, -ERR_INVALID);
            assert_int_equal(n, 99);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_str_equal(((struct str){bytes, n}), rows[i].bytes);
    }
}

static void
test_base64_round_trip(void **state)
{
    char bytes[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct buf text = BUF_INIT(1000);
        char back[400];
        size_t n_back;

        celery_base64_append(&text, (struct str){bytes, n});
        assert_int_equal(text.len, (n + 2) / 3 * 4);
        assert_true(celery_base64_decoded_max(text.len) <= sizeof(back));
        assert_int_equal(celery_base64_decode(buf_str(&text), back, &n_back, NULL), 0);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, bytes, n);
        buf_fini(&text);
    }
}

static void
test_names(void **state)
{
    static const struct {
        const char *name;
        int rc;
        enum celery_compression compression;
    } rows[] = {
        {"", 0, CELERY_COMPRESSION_NONE},
        {"application/x-gzip", 0, CELERY_COMPRESSION_ZLIB},
        {"gzip", 0, CELERY_COMPRESSION_ZLIB},
        {"zlib", 0, CELERY_COMPRESSION_ZLIB},
        {"application/x-bz2", 0, CELERY_COMPRESSION_BZIP2},
        {"bzip2", 0, CELERY_COMPRESSION_BZIP2},
        {"bzip", 0, CELERY_COMPRESSION_BZIP2},
        {"application/x-lzma", -ERR_UNSUPPORTED, CELERY_COMPRESSION_NONE},
        {"application/x-brotli", -ERR_UNSUPPORTED, CELERY_COMPRESSION_NONE},
        {"application/zstd", -ERR_UNSUPPORTED, CELERY_COMPRESSION_NONE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum celery_compression found = CELERY_COMPRESSION_NONE;

        assert_int_equal(celery_compression_find(str_from_cstr(rows[i].name), &found, NULL),
                         rows[i].rc);
        assert_int_equal(found, rows[i].compression);
    }
    assert_str_equal(celery_compression_name(CELERY_COMPRESSION_ZLIB), "application/x-gzip");
    assert_str_equal(celery_compression_name(CELERY_COMPRESSION_BZIP2), "application/x-bz2");
    assert_null(celery_compression_name(CELERY_COMPRESSION_NONE).ptr);
}

static const enum celery_compression all[] = {
    CELERY_COMPRESSION_NONE,
    CELERY_COMPRESSION_ZLIB,
    CELERY_COMPRESSION_BZIP2,
};

/* n_bytes of a period that compresses neither too well nor too badly. */
static struct str
noise(struct buf *out, size_t n_bytes)
{
    uint32_t seed = 12345;

    buf_clear(out);
    while (n_bytes--) {
        seed = seed * 1664525 + 1013904223;
        buf_append_char(out, (char)('a' + (seed >> 28)));
    }
    return buf_str(out);
}

static void
test_round_trip(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 16383, 16384, 16385, 300000};
    struct buf plain = BUF_INIT(MIB);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all) * COUNT_OF(sizes); i++) {
        enum celery_compression compression = all[i / COUNT_OF(sizes)];
        struct str bytes = noise(&plain, sizes[i % COUNT_OF(sizes)]);
        struct arena arena = ARENA_INIT(MIB);
        struct buf packed = BUF_INIT(MIB);
        struct str back;
        struct error err;

        assert_ok(celery_compress(compression, bytes, &packed, &err), err);
        assert_ok(celery_decompress(compression, buf_str(&packed), bytes.len, &arena, &back, &err),
                  err); /* the ceiling may be met, not passed */
        assert_true(str_equal(back, bytes));
        if (bytes.len && compression != CELERY_COMPRESSION_NONE)
            assert_int_equal(celery_decompress(compression, buf_str(&packed), bytes.len - 1, &arena,
                                               &back, NULL),
                             -ERR_TOO_LARGE);
        buf_fini(&packed);
        arena_fini(&arena);
    }
    buf_fini(&plain);
}

static void
test_damage(void **state)
{
    struct buf plain = BUF_INIT(MIB);
    struct str bytes = noise(&plain, 5000);

    (void)state;
    for (size_t i = 1; i < COUNT_OF(all); i++) {
        struct arena arena = ARENA_INIT(MIB);
        struct buf packed = BUF_INIT(MIB);
        struct str back = STR("before");

        assert_int_equal(celery_compress(all[i], bytes, &packed, NULL), 0);
        for (size_t n = 0; n < packed.len; n += n < 20 ? 1 : 97) /* cut anywhere */
            assert_int_equal(
                celery_decompress(all[i], (struct str){packed.ptr, n}, MIB, &arena, &back, NULL),
                -ERR_INVALID);
        packed.ptr[packed.len / 2] ^= 0x10;
        assert_true(celery_decompress(all[i], buf_str(&packed), MIB, &arena, &back, NULL) < 0);
        packed.ptr[packed.len / 2] ^= 0x10;
        buf_append_char(&packed, 'x');
        assert_int_equal(celery_decompress(all[i], buf_str(&packed), MIB, &arena, &back, NULL),
                         -ERR_INVALID);
        assert_int_equal(celery_decompress(all[i], STR("[[], {}, {}]"), MIB, &arena, &back, NULL),
                         -ERR_INVALID);
        assert_str_equal(back, "before");
        buf_fini(&packed);
        arena_fini(&arena);
    }
    buf_fini(&plain);
}

/* 64 MiB of zeros in 65 KB (zlib) or 50 bytes (bzip2). */
static void
test_bombs(void **state)
{
    size_t n_bytes = 64 * MIB;
    char *zeros = calloc(1, n_bytes);

    (void)state;
    assert_non_null(zeros);
    for (size_t i = 1; i < COUNT_OF(all); i++) {
        struct arena arena = ARENA_INIT(256 * MIB);
        struct buf packed = BUF_INIT(128 * MIB);
        struct str back;

        assert_int_equal(celery_compress(all[i], (struct str){zeros, n_bytes}, &packed, NULL), 0);
        assert_true(packed.len < 100000);
        assert_int_equal(
            celery_decompress(all[i], buf_str(&packed), 128 * MIB, &arena, &back, NULL),
            -ERR_TOO_LARGE); /* by the ratio */
        assert_int_equal(arena.used, 0);
        buf_fini(&packed);
        arena_fini(&arena);
    }
    free(zeros);
}

static void
test_real_gzip(void **state)
{
    /* printf '[]' | gzip -n */
    static const char gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x8b\x8e\x05\x00\x29\xbb"
                               "\x4c\x0d\x02\x00\x00\x00";
    struct arena arena = ARENA_INIT(MIB);
    struct error err;
    struct str back;

    (void)state;
    assert_ok(celery_decompress(CELERY_COMPRESSION_ZLIB, (struct str){gzip, sizeof(gzip) - 1}, MIB,
                                &arena, &back, &err),
              err);
    assert_str_equal(back, "[]");
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),    cmocka_unit_test(test_base64_round_trip),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),    cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_real_gzip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
