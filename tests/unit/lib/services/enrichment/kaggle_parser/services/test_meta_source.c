/* Where the six files may lie, and what hostile archives get. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/services/meta_dump.h"

#include <sys/stat.h>

#include <zip.h>
#include <zlib.h>

static const char datasets_text[] = DUMP_DATASETS_HEADER "1,9,5,,11,,,,,,,,,,,\n";
static const char versions_text[] = DUMP_VERSIONS_HEADER "11,1,,,,,1,T,s,,,,,\n";
static const char users_text[] = DUMP_USERS_HEADER "5,alice,,,,\n";

#define ROW "1: 1 ref=alice/s version=11.1 title=T user complete\n"

struct member {
    const char *name;
    struct str text;
    bool is_stored;    /* not deflated */
    bool is_encrypted; /* with AES, where libzip can */
};

static void
write_zip(const char *path, const struct member *members, size_t n_members)
{
    int code;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);

    assert_non_null(zip);
    for (size_t i = 0; i < n_members; i++) {
        const struct member *member = &members[i];
        zip_source_t *source = zip_source_buffer(zip, member->text.ptr, member->text.len, 0);
        zip_int64_t at = zip_file_add(zip, member->name, source, 0);

        assert_true(at >= 0);
        if (member->is_stored)
            assert_int_equal(zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0), 0);
        if (member->is_encrypted)
            assert_int_equal(
                zip_file_set_encryption(zip, (zip_uint64_t)at, ZIP_EM_AES_256, "secret"), 0);
    }
    assert_int_equal(zip_close(zip), 0);
}

static void
write_gzip(const char *path, struct str text, const char *mode)
{
    gzFile file = gzopen(path, mode);

    assert_non_null(file);
    assert_int_equal(gzwrite(file, text.ptr, (unsigned)text.len), (int)text.len);
    assert_int_equal(gzclose(file), Z_OK);
}

/* Each file plain, zipped or gzipped, under a name that says so, or says something else. */
static void
test_directory(void **state)
{
    static const char *const names[] = {"Datasets.csv", "Datasets.csv.zip", "Datasets.csv.gz"};
    struct dump dump;
    char path[256];

    (void)state;
    dump_init(&dump);
    dump_write(&dump, "Users.csv", STR(users_text));
    write_gzip(dump_path(&dump, "DatasetVersions.csv.gz", path), STR(versions_text), "we");
    for (size_t form = 0; form < 3; form++) {
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            static const struct member one[] = {{"Datasets.csv", STR_INIT(datasets_text), 0, 0}};
            CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
            struct meta_counts counts = {0};
            struct error err;

            (void)dump_path(&dump, names[i], path);
            if (form == 0)
                dump_write(&dump, names[i], STR(datasets_text));
            else if (form == 1)
                write_zip(path, one, 1);
            else
                write_gzip(path, STR(datasets_text), "we");
            assert_ok(dump_run(dump.dir, NULL, &out, &counts, &err), err);
            assert_str_equal(buf_str(&out), ROW);
            assert_int_equal(counts.files[META_DATASETS].n_bytes, sizeof(datasets_text) - 1);
            (void)unlink(path);
        }
    }
    dump_fini(&dump);
}

/* One archive, members anywhere; the one nearest to the root wins. */
static void
test_archive(void **state)
{
    static const struct {
        struct member members[5];
        size_t n_members;
        int rc;
        const char *text; /* rows, or a part of the message */
    } rows[] = {
        {{{"Datasets.csv", STR_INIT(datasets_text), 0, 0},
          {"DatasetVersions.csv", STR_INIT(versions_text), true, 0},
          {"Users.csv", STR_INIT(users_text), 0, 0}},
         3,
         0,
         ROW},
        {{{"a/b/Datasets.csv", STR_INIT("x"), 0, 0},
          {"Competitions.csv", STR_INIT("x"), 0, true},
          {"a/Datasets.csv", STR_INIT(datasets_text), 0, 0},
          {"a/c/DatasetVersions.csv", STR_INIT(versions_text), 0, 0},
          {"Users.csv", STR_INIT(users_text), 0, 0}},
         5,
         0,
         ROW},
        {{{"a/Datasets.csv", STR_INIT(datasets_text), 0, 0},
          {"b/Datasets.csv", STR_INIT(datasets_text), 0, 0}},
         2,
         -ERR_INVALID,
         "two members are called Datasets.csv, one of them 'b/Datasets.csv'"},
        {{{"Users.csv", STR_INIT(users_text), 0, 0}, {"x.csv", STR_INIT("x"), 0, 0}},
         2,
         -ERR_NOT_FOUND,
         "has neither Datasets.csv nor DatasetVersions.csv (found: Users.csv)"},
        {{{"Datasets.csv", STR_INIT(datasets_text), 0, true}},
         1,
         -ERR_UNSUPPORTED,
         "zip member 'Datasets.csv' is encrypted"},
    };
    struct dump dump;
    char path[256];

    (void)state;
    dump_init(&dump);
    (void)dump_path(&dump, "archive", path);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
        struct error err;
        int rc;

        write_zip(path, rows[i].members, rows[i].n_members);
        rc = dump_run(path, NULL, &out, NULL, &err);
        if (rows[i].rc == 0)
            assert_ok(rc, err);
        assert_int_equal(rc, rows[i].rc);
        if (rc == 0)
            assert_str_equal(buf_str(&out), rows[i].text);
        else
            assert_non_null(strstr(err.message, rows[i].text));
    }
    dump_fini(&dump);
}

/* A gzip of several members is one file: parallel compressors write such. */
static void
test_gzip_members(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
    struct dump dump;
    struct error err;
    char path[256];

    (void)state;
    dump_init(&dump);
    dump_write(&dump, "Users.csv", STR(users_text));
    dump_write(&dump, "Datasets.csv", STR(datasets_text));
    (void)dump_path(&dump, "DatasetVersions.csv.gz", path);
    write_gzip(path, STR(DUMP_VERSIONS_HEADER), "we");
    write_gzip(path, STR("11,1,,,,,"), "ae");
    write_gzip(path, STR(""), "ae");
    write_gzip(path, STR("1,T,s,,,,,\n"), "ae");
    assert_ok(dump_run(dump.dir, NULL, &out, NULL, &err), err);
    assert_str_equal(buf_str(&out), ROW);
    dump_fini(&dump);
}

enum damage {
    CUT_GZIP,
    BAD_GZIP,
    GARBAGE_BEHIND_GZIP,
    BAD_ZIP_DATA,
    CUT_ZIP,
    GZIP_BOMB,
    ZIP_BOMB,
    WRONG_ZIP_MEMBER,
};

/* Change one byte of a file, from the end where at is negative; or cut the file there. */
static void
damage_file(const char *path, long at, bool is_cut)
{
    FILE *file = fopen(path, "r+e");
    int byte;

    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    at = ftell(file);
    byte = fgetc(file);
    assert_true(byte != EOF);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    if (is_cut)
        assert_int_equal(ftruncate(fileno(file), at), 0);
    else
        assert_true(fputc(byte ^ 0x55, file) != EOF);
    assert_int_equal(fclose(file), 0);
}

/* Datasets.csv in one broken form. */
static void
write_damaged(const char *path, enum damage damage, struct str zeros)
{
    const struct member good[] = {{"Datasets.csv", STR_INIT(datasets_text), true, false}};
    const struct member bomb[] = {{"Datasets.csv", zeros, false, false}};
    const struct member two[] = {{"a.csv", STR_INIT("a"), false, false},
                                 {"b.csv", STR_INIT("b"), false, false}};

    (void)unlink(path);
    switch (damage) {
    case CUT_GZIP:
        write_gzip(path, STR(datasets_text), "we");
        damage_file(path, -9, true);
        break;
    case BAD_GZIP: /* its checksum */
        write_gzip(path, STR(datasets_text), "we");
        damage_file(path, -8, false);
        break;
    case GARBAGE_BEHIND_GZIP:
        write_gzip(path, STR(datasets_text), "we");
        write_gzip(path, STR("garbage"), "aTe");
        break;
    case BAD_ZIP_DATA: /* stored: behind 30 bytes of header and the name */
        write_zip(path, good, 1);
        damage_file(path, 30 + 12 + 20, false);
        break;
    case CUT_ZIP:
        write_zip(path, good, 1);
        damage_file(path, -30, true);
        break;
    case GZIP_BOMB:
        write_gzip(path, zeros, "we");
        break;
    case ZIP_BOMB:
        write_zip(path, bomb, 1);
        break;
    case WRONG_ZIP_MEMBER:
        write_zip(path, two, 2);
        break;
    }
}

static void
test_damage(void **state)
{
    static const struct {
        enum damage damage;
        int rc;
        const char *message;
    } rows[] = {
        {CUT_GZIP, -ERR_CORRUPT, "Datasets.csv: gzip data is cut short"},
        {BAD_GZIP, -ERR_CORRUPT, "Datasets.csv: bad gzip data near byte"},
        {GARBAGE_BEHIND_GZIP, -ERR_CORRUPT, "Datasets.csv: bad gzip data near byte"},
        {BAD_ZIP_DATA, -ERR_CORRUPT, "Datasets.csv: bad zip data after"},
        {CUT_ZIP, -ERR_CORRUPT, "Datasets.csv: bad zip archive"},
        {GZIP_BOMB, -ERR_TOO_LARGE, "more than 200 for one: this is no data"},
        {ZIP_BOMB, -ERR_TOO_LARGE, "more than 200 for one: this is no data"},
        {WRONG_ZIP_MEMBER, -ERR_NOT_FOUND, "the zip has 2 members, none called Datasets.csv"},
    };
    CLEANUP(buf_fini) struct buf zeros = BUF_INIT(DUMP_OUT_BYTES);
    struct dump dump;
    char path[256];

    (void)state;
    dump_init(&dump);
    buf_append(&zeros, STR("Id\n"));
    for (size_t i = 0; i < ((size_t)8 << 20); i += 8)
        buf_append(&zeros, STR("1234567\n"));
    dump_write(&dump, "DatasetVersions.csv", STR(versions_text));
    (void)dump_path(&dump, "Datasets.csv", path);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
        CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
        CLEANUP(kaggle_meta_stream_closep) struct kaggle_meta_stream *stream = NULL;
        static char block[1 << 16];
        struct csv_input input;
        struct error err;
        size_t n = 1;
        int rc;

        write_damaged(path, rows[i].damage, buf_str(&zeros));
        assert_ok(kaggle_meta_source_open(dump.dir, NULL, &source, &err), err);
        rc = kaggle_meta_stream_open(source, META_DATASETS, &stream, &err);
        if (rc == 0)
            input = kaggle_meta_stream_input(stream);
        while (rc == 0 && n)
            rc = input.read(input.context, block, sizeof(block), &n, &err);
        if (rc == 0)
            fail_msg("damage %d was not seen", (int)rows[i].damage);
        if (rc != rows[i].rc || !strstr(err.message, rows[i].message))
            fail_msg("damage %d: %s: %s", (int)rows[i].damage, error_code_name(rc), err.message);
    }
    dump_fini(&dump);
}

static void
test_limits(void **state)
{
    static const struct {
        struct kaggle_meta_source_limits limits;
        const char *message;
    } rows[] = {
        {{.max_file_bytes = 100}, "Datasets.csv: more than 100 bytes"},
        {{.max_archive_members = 1}, "zip archive has 2 members, more than 1"},
    };
    static const struct member members[] = {{"Datasets.csv", STR_INIT(datasets_text), 0, 0},
                                            {"DatasetVersions.csv", STR_INIT(versions_text), 0, 0}};
    struct dump dump;
    char path[256];

    (void)state;
    dump_init(&dump);
    write_zip(dump_path(&dump, "archive", path), members, COUNT_OF(members));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
        struct meta_sink sink = {0};
        struct meta_counts counts;
        struct error err;
        int rc = kaggle_meta_source_open(path, &rows[i].limits, &source, &err);

        if (rc == 0)
            rc = kaggle_meta_parser_run(source, NULL, &sink, &counts, &err);
        assert_int_equal(rc, -ERR_TOO_LARGE);
        assert_non_null(strstr(err.message, rows[i].message));
    }
    dump_fini(&dump);
}

static void
test_not_there(void **state)
{
    struct kaggle_meta_source *source = NULL;
    struct dump dump;
    struct error err;
    char path[256];

    (void)state;
    dump_init(&dump);
    (void)dump_path(&dump, "nothing", path);
    assert_int_equal(kaggle_meta_source_open(path, NULL, &source, &err), -ERR_NOT_FOUND);
    assert_int_equal(kaggle_meta_source_open(dump.dir, NULL, &source, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "(found: none of the six files)"));
    dump_write(&dump, "x.csv", STR("a,b\n"));
    (void)dump_path(&dump, "x.csv", path);
    assert_int_equal(kaggle_meta_source_open(path, NULL, &source, &err), -ERR_CORRUPT);
    assert_null(source);
    dump_fini(&dump);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory),    cmocka_unit_test(test_archive),
        cmocka_unit_test(test_gzip_members), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
