/* The Meta Kaggle join: every year's form, the traps of the data, bad records, the books. */

#include "tests/unit/lib/services/enrichment/kaggle_parser/services/meta_dump.h"

static const struct dump_texts today = {
    .datasets =
        DUMP_DATASETS_HEADER "1,9,5.0,,11.0,,1,1,01/02/2020 03:04:05,02/03/2024,100,20,3,4,,\n"
                             "2,5,,6,22,,1,1,05/06/2021 00:00:00,,,,,,,\n",
    .versions = DUMP_VERSIONS_HEADER
    "11,1,,9,CC0: Public Domain,03/04/2023 05:06:07,2.0,Cats,cats,All cats,\"A \"\"cat\"\",\r\nor "
    "two\",,10,20\n"
    "22,2,,5,Unknown,06/06/2021 01:00:00,1,Dogs,dogs,,,,30,\n",
    .users = DUMP_USERS_HEADER "4,mallory,M,01/01/2015,1,\n5,alice,Alice,01/01/2015,1,\n",
    .organizations = DUMP_ORGANIZATIONS_HEADER "6,The Kennel,the-kennel,01/01/2016,\"a\nb\"\n",
    .tags = DUMP_TAGS_HEADER "7,,pets,pets,subject > pets,,,,\n8,7,cats,cats,,,,,\n",
    .dataset_tags = DUMP_DATASET_TAGS_HEADER "1,1,8\n2,1,7\n3,2,7\n",
};

#define TODAY_CATS                                                                                 \
    "1: 1 ref=alice/cats version=11.2 title=Cats subtitle=All cats description=A \"cat\",\r\nor "  \
    "two license=CC0: Public Domain tag=cats tag=pets bytes=20 created=2020-01-02T03:04:05Z "      \
    "updated=2023-03-04T05:06:07Z views=100 downloads=20 votes=3 kernels=4 user complete\n"
#define TODAY_DOGS                                                                                 \
    "2: 2 ref=the-kennel/dogs version=22.1 title=Dogs license=Unknown tag=pets bytes=30 "          \
    "created=2021-05-06T00:00:00Z updated=2021-06-06T01:00:00Z organization complete\n"

/* The same two datasets as each year wrote them. */
static void
test_forms(void **state)
{
    static const struct {
        struct dump_texts texts;
        const char *expected;
    } rows[] = {
        {{0}, TODAY_CATS TODAY_DOGS}, /* stands for today's form */
        /* 2022: everything quoted, empties too */
        {{.datasets = "\"Id\",\"CreatorUserId\",\"OwnerUserId\",\"OwnerOrganizationId\","
                      "\"CurrentDatasetVersionId\",\"ForumId\",\"Type\",\"CreationDate\","
                      "\"LastActivityDate\",\"TotalViews\",\"TotalDownloads\",\"TotalVotes\","
                      "\"TotalKernels\"\r\n"
                      "\"1\",\"9\",\"5\",\"\",\"11\",\"1\",\"1\",\"01/02/2020 03:04:05\","
                      "\"02/03/2024\",\"100\",\"20\",\"3\",\"4\"\r\n"},
         "1: 1 ref=alice/cats version=11.2 title=Cats subtitle=All cats description=A \"cat\","
         "\r\nor two license=CC0: Public Domain tag=cats tag=pets bytes=20 "
         "created=2020-01-02T03:04:05Z updated=2023-03-04T05:06:07Z views=100 downloads=20 votes=3 "
         "kernels=4 user complete\n"},
        /* 2018 to 2021: two more dates, columns in another order, a byte order mark */
        {{.datasets = "\xEF\xBB\xBFId,ForumId,Type,CreationDate,ReviewDate,FeatureDate,"
                      "LastActivityDate,TotalViews,TotalDownloads,TotalVotes,TotalKernels,"
                      "CreatorUserId,OwnerUserId,OwnerOrganizationId,CurrentDatasetVersionId\n"
                      "2,1,1,05/06/2021 00:00:00,,,07/08/2021,,,,,5,,6,22"},
         "1: 2 ref=the-kennel/dogs version=22.1 title=Dogs license=Unknown tag=pets bytes=30 "
         "created=2021-05-06T00:00:00Z updated=2021-06-06T01:00:00Z organization complete\n"},
        /* 2017: no owners, other names, ISO dates, doubled apostrophes */
        {{.datasets = "\"Id\",\"CreatorUserId\",\"CreationDate\",\"PublishDate\",\"ForumId\","
                      "\"CurrentDatasetVersionId\",\"TotalViews\",\"TotalDownloads\"\n"
                      "1,5,\"2017-01-02 03:04:05\",\"2017-01-03 00:00:00\",7,11,100,20\n",
          .versions =
              "\"Id\",\"DatasetId\",\"VersionNumber\",\"Name\",\"Slug\",\"Overview\","
              "\"Description\",\"CreationDate\",\"VersionNotes\",\"ArchiveFileName\","
              "\"ArchiveFileSizeBytes\",\"NumVotes\"\n"
              "10,1,1,\"Old\",\"old\",\"\",\"\",\"2017-01-02 03:04:05\",\"\",\"\",5,1\n"
              "11,1,2,\"Alice''s cats\",\"cats\",\"'''' two ''\",\"We''re\n'\",\"2017-02-03 "
              "04:05:06\",\"\",\"a.zip\",50,1\n"},
         "1: 1 slug=cats version=11.2 title=Alice's cats subtitle='' two ' description=We're\n' "
         "tag=cats tag=pets bytes=50 created=2017-01-02T03:04:05Z updated=2017-02-03T04:05:06Z "
         "views=100 downloads=20 nobody no ref\n"},
    };
    struct dump dump;

    (void)state;
    dump_init(&dump);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
        struct dump_texts texts = today;
        struct meta_counts counts = {0};
        struct error err;

        texts.datasets = rows[i].texts.datasets ?: texts.datasets;
        texts.versions = rows[i].texts.versions ?: texts.versions;
        dump_write_all(&dump, &texts);
        assert_ok(dump_run(dump.dir, NULL, &out, &counts, &err), err);
        assert_str_equal(buf_str(&out), rows[i].expected);
        assert_int_equal(counts.is_2017_form, i == 3);
    }
    dump_fini(&dump);
}

/* Doubled apostrophes are the author's own in any later dump. */
static void
test_apostrophes_today(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
    struct dump_texts texts = {
        .datasets = DUMP_DATASETS_HEADER "1,9,,,11,,1,1,,,,,,,,\n",
        .versions = DUMP_VERSIONS_HEADER "11,1,,9,,,1,it''s,its,,,,,\n",
    };
    struct dump dump;
    struct error err;

    (void)state;
    dump_init(&dump);
    dump_write_all(&dump, &texts);
    assert_ok(dump_run(dump.dir, NULL, &out, NULL, &err), err);
    assert_str_equal(buf_str(&out), "1: 1 slug=its version=11.1 title=it''s nobody no ref\n");
    dump_fini(&dump);
}

static void
test_traps(void **state)
{
    static const struct {
        const char *datasets; /* after the header */
        const char *versions;
        const char *dataset_tags; /* after those of today; or NULL */
        const char *expected;
    } rows[] = {
        /* the owner is not the creator; both owner ids: the user wins; users and organisations have
         * ids of their own */
        {"1,4,5,6,11,,,,,,,,,,,\n", "11,1,,,,,1,T,s,,,,,\n", NULL,
         "1: 1 ref=alice/s version=11.1 title=T tag=cats tag=pets user complete\n"},
        {"1,4,6,,11,,,,,,,,,,,\n", "11,1,,,,,1,T,s,,,,,\n", NULL,
         "1: 1 slug=s version=11.1 title=T tag=cats tag=pets user no ref\n"},
        /* today's slug, wherever the current version stands in the file */
        {"1,4,5,,12,,,,,,,,,,,\n",
         "13,1,,,,,3,C,c,,,,,\n12,1,,,,,2,B,b,,,,,\n11,1,,,,,1,A,a,,,,,\n", NULL,
         "1: 1 ref=alice/b version=12.2 title=B tag=cats tag=pets user complete\n"},
        /* no current version: the largest number, as a number, and then the largest id */
        {"1,4,5,,,,,,,,,,,,,\n",
         "11,1,,,,,9.0,A,a,,,,,\n12,1,,,,,10,B,b,S,D,,7,\n13,1,,,L,,10.0,C,c,S,D,,7,8\n14,1,,,,,2,"
         "E,"
         "e,,,,,\n",
         NULL,
         "1: 1 ref=alice/c version=13.10 title=C subtitle=S description=D license=L tag=cats "
         "tag=pets "
         "bytes=8 user complete\n"},
        /* the current version never shows up: the best one there is, but not one of another dataset
         */
        {"1,4,5,,11,,,,,02/03/2024,,,,,,\n2,4,5,,12,,,,,,,,,,,\n", "11,2,,,,,1,T,s,,,,,\n", NULL,
         "1: 1 owner=alice tag=cats tag=pets updated=2024-02-03T00:00:00Z user minimal\n"
         "2: 2 ref=alice/s version=11.1 title=T tag=pets user complete\n"},
        {"1,4,5,,99,,,,,,,,,,,\n2,4,5,,12,,,,,,,,,,,\n",
         "11,1,,,,,2,A,a,,,,,\n12,2,,,,,1,B,b,,,,,\n13,1,,,,,3,C,c,,,,,\nx,1,,,,,9,D,d,,,,,\n",
         NULL,
         "1: 2 ref=alice/b version=12.1 title=B tag=pets user complete\n"
         "! DatasetVersions.csv record 4 byte 235 line 5: column Id: 'x' is not an id\n" /* once */
         "2: 1 ref=alice/c version=13.3 title=C tag=cats tag=pets user complete\n"},
        /* what is known stays when the rest is not */
        {"1,4,99,,11,,,,,,,,,,,\n", "11,1,,,,,1,T,s,,,,,\n", NULL,
         "1: 1 slug=s version=11.1 title=T tag=cats tag=pets user no ref\n"},
        {"1,4,5,,11,,,,,,,,,,,\n", "11,1,,,,,1,T,,,,,,\n", NULL,
         "1: 1 owner=alice version=11.1 title=T tag=cats tag=pets user no ref\n"},
        {"1,4,5,,11,,,,,,,,,,,\n", "11,1,,,,,1,T,a/../b?c,,,,,\n", NULL,
         "1: 1 owner=alice slug=a/../b?c version=11.1 title=T tag=cats tag=pets user no ref\n"},
        /* seen twice: the first counts; rows come in the order of the versions */
        {"1,4,5,,11,,,,,,,,,,,\n3,4,5,,33,,,,,,,,,,,\n1,4,,6,12,,,,,,,,,,,\n",
         "33,3,,,,,1,U,u,,,,,\n11,1,,,,,1,T,s,,,,,\n11,1,,,,,1,T2,s2,,,,,\n77,7,,,,,1,X,x,,,,,\n",
         NULL,
         "1: 3 ref=alice/u version=33.1 title=U user complete\n"
         "2: 1 ref=alice/s version=11.1 title=T tag=cats tag=pets user complete\n"},
        /* tags: seen twice, unknown, of an unknown dataset */
        {"1,4,5,,11,,,,,,,,,,,\n", "11,1,,,,,1,T,s,,,,,\n", "4,1,8\n5,1,99\n6,77,8\n",
         "1: 1 ref=alice/s version=11.1 title=T tag=cats tag=pets user complete\n"},
        /* unreadable dates and totals are unknown; the 13th month is no date */
        {"1,4,5,,11,,,,13/01/2020,2020-02-30,-5,many,1e3,7.5,,\n",
         "11,1,,,,yesterday,x,T,s,,,,,0x10\n", NULL,
         "1: 1 ref=alice/s version=11.0 title=T tag=cats tag=pets user complete\n"},
        /* a padded record whose keys are there */
        {"1,4,5,,11\n", "11,1,,,,,1,T,s\n", NULL,
         "1: 1 ref=alice/s version=11.1 title=T tag=cats tag=pets user complete\n"},
    };
    struct dump dump;

    (void)state;
    dump_init(&dump);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
        struct dump_texts texts = today;
        struct error err;
        char datasets[4096];
        char versions[4096];
        char tags[4096];

        (void)snprintf(datasets, sizeof(datasets), "%s%s", DUMP_DATASETS_HEADER, rows[i].datasets);
        (void)snprintf(versions, sizeof(versions), "%s%s", DUMP_VERSIONS_HEADER, rows[i].versions);
        (void)snprintf(tags, sizeof(tags), "%s%s", today.dataset_tags, rows[i].dataset_tags ?: "");
        texts.datasets = datasets;
        texts.versions = versions;
        texts.dataset_tags = tags;
        dump_write_all(&dump, &texts);
        assert_ok(dump_run(dump.dir, NULL, &out, NULL, &err), err);
        assert_str_equal(buf_str(&out), rows[i].expected);
    }
    dump_fini(&dump);
}

/* What is wrong with a record, where it is, and that its neighbours live. */
static void
test_bad_records(void **state)
{
    static const struct {
        enum meta_file file;
        const char *records; /* after the first record of today's file */
        const char *expected;
    } rows[] = {
        {META_DATASETS, ",,,,,,,,,,,,,,,\n", ": column Id is empty\n"},
        {META_DATASETS, "12x,,,,,,,,,,,,,,,\n", ": column Id: '12x' is not an id\n"},
        {META_DATASETS, "-1,,,,,,,,,,,,,,,\n", ": column Id: '-1' is not an id\n"},
        {META_DATASETS, "0,,,,,,,,,,,,,,,\n", ": column Id: '0' is not an id\n"},
        {META_DATASETS, "9223372036854775808,,,,,,,,,,,,,,,\n",
         ": column Id: '9223372036854775808' is not an id\n"},
        {META_DATASETS, "3,,x,,,,,,,,,,,,,\n", ": column OwnerUserId: 'x' is not an id\n"},
        {META_DATASETS, "3,,,1.5,,,,,,,,,,,,\n",
         ": column OwnerOrganizationId: '1.5' is not an id\n"},
        {META_DATASETS, "3,,,,?,,,,,,,,,,,\n",
         ": column CurrentDatasetVersionId: '?' is not an id\n"},
        {META_DATASETS, "3,,,,,,,,,,,,,,,,,\n", ": more columns than the header\n"},
        {META_VERSIONS, "x,1,,,,,,,,,,,,\n", ": column Id: 'x' is not an id\n"},
        {META_VERSIONS, "3,,,,,,,,,,,,,\n", ": column DatasetId is empty\n"},
        {META_VERSIONS, "3,1,,,,,,\"a\"b,,,,,,\n", ": text after a closing quote\n"},
        {META_VERSIONS, "3,1,,,,,,\"stray,,,,,,\n", ": text after a closing quote\n"},
        {META_VERSIONS, "3,1,,,,,,\xFF\xFE,,,,,,\n", ": not UTF-8\n"},
        {META_VERSIONS, "3\n", ": column DatasetId is empty\n"},
        {META_USERS, "x,y,,,,\n", ": column Id: 'x' is not an id\n"},
        {META_USERS, "8,,,,,\n", ": column UserName has 0 bytes, not 1 to 255\n"},
        {META_ORGANIZATIONS, "8,x,,,\n", ": column Slug has 0 bytes, not 1 to 255\n"},
        {META_TAGS, "9,,,x,,,,,\n", ": column Name is empty\n"},
        {META_DATASET_TAGS, "1,,7\n", ": column DatasetId is empty\n"},
        {META_DATASET_TAGS, "1,2,\n", ": column TagId is empty\n"},
    };
    struct dump dump;

    (void)state;
    dump_init(&dump);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
        const char *const by_file[META_N_FILES] = {
            [META_DATASETS] = today.datasets,           [META_USERS] = today.users,
            [META_ORGANIZATIONS] = today.organizations, [META_TAGS] = today.tags,
            [META_DATASET_TAGS] = today.dataset_tags,   [META_VERSIONS] = today.versions,
        };
        const char *name = kaggle_meta_file_name(rows[i].file);
        const char *text = by_file[rows[i].file];
        size_t header = str_find_char(str_from_cstr(text), '\n') + 1;
        struct meta_counts counts = {0};
        struct error err;
        char broken[4096];
        char expected[512];

        /* the bad record comes first, so that all others are behind it */
        (void)snprintf(broken, sizeof(broken), "%.*s%s%s", (int)header, text, rows[i].records,
                       text + header);
        (void)snprintf(expected, sizeof(expected), "! %s record 1 byte %zu line 2%s", name, header,
                       rows[i].expected);
        dump_write_all(&dump, &today);
        dump_write(&dump, name, str_from_cstr(broken));
        assert_ok(dump_run(dump.dir, NULL, &out, &counts, &err), err);
        if (!str_starts_with(buf_str(&out), str_from_cstr(expected)))
            fail_msg("'%s' does not begin with '%s'", buf_cstr(&out), expected);
        assert_true(str_ends_with(buf_str(&out), STR(TODAY_CATS TODAY_DOGS)));
        assert_int_equal(counts.files[rows[i].file].n_rejected, 1);
    }
    dump_fini(&dump);
}

static void
test_refuse(void **state)
{
    static const struct {
        struct dump_texts texts; /* "-" for a missing file, NULL for today's */
        int rc;
        const char *message;
    } rows[] = {
        {{.datasets = "-"}, -ERR_NOT_FOUND, "Datasets.csv is not there"},
        {{.versions = "-"}, -ERR_NOT_FOUND, "DatasetVersions.csv is not there"},
        {{.datasets = ""}, -ERR_INVALID, "Datasets.csv is empty: it has no header"},
        {{.users = ""}, -ERR_INVALID, "Users.csv is empty: it has no header"},
        {{.datasets = "Id,Name\n"},
         -ERR_INVALID,
         "Datasets.csv has no column 'CurrentDatasetVersionId' (found: Id, Name)"},
        {{.datasets = "Id,CurrentDatasetVersionId,CreationDate\n"},
         -ERR_INVALID,
         "Datasets.csv has no column 'OwnerUserId' (found: Id, CurrentDatasetVersionId, "
         "CreationDate)"},
        {{.versions = "Id,DatasetId,Slug,Title,Description\n"},
         -ERR_INVALID,
         "DatasetVersions.csv has no column 'LicenseName' (found: Id, DatasetId, Slug, Title, "
         "Description)"},
        {{.versions = "Id,DatasetId,Slug\n"},
         -ERR_INVALID,
         "DatasetVersions.csv has no column 'Title' (found: Id, DatasetId, Slug)"},
        {{.users = "Id,DisplayName\n"},
         -ERR_INVALID,
         "Users.csv has no column 'UserName' (found: Id, DisplayName)"},
        {{.tags = "Id,Name,id\n"}, -ERR_INVALID, "Tags.csv has column 'Id' twice"},
        {{.tags = "Id,\"Name\n"},
         -ERR_INVALID,
         "Tags.csv: bad CSV header: a quoted field never ends"},
    };
    struct dump dump;

    (void)state;
    dump_init(&dump);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
        struct dump_texts texts = today;
        struct meta_counts counts = {.n_minimal = 7};
        struct error err;

        if (rows[i].texts.datasets)
            texts.datasets = *rows[i].texts.datasets == '-' ? NULL : rows[i].texts.datasets;
        if (rows[i].texts.versions)
            texts.versions = *rows[i].texts.versions == '-' ? NULL : rows[i].texts.versions;
        texts.users = rows[i].texts.users ?: texts.users;
        texts.tags = rows[i].texts.tags ?: texts.tags;
        dump_write_all(&dump, &texts);
        assert_int_equal(dump_run(dump.dir, NULL, &out, &counts, &err), rows[i].rc);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(counts.n_minimal, 7); /* out survives a failure */
    }
    dump_fini(&dump);
}

/* Without the optional files: the same datasets, with less known of them. */
static void
test_degrade(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(DUMP_OUT_BYTES);
    struct dump_texts texts = {.datasets = today.datasets, .versions = today.versions};
    struct meta_counts counts = {0};
    struct dump dump;
    struct error err;

    (void)state;
    dump_init(&dump);
    dump_write_all(&dump, &texts);
    assert_ok(dump_run(dump.dir, NULL, &out, &counts, &err), err);
    assert_int_equal(counts.n_no_ref, 2);
    assert_true(counts.files[META_USERS].is_missing);
    assert_true(counts.files[META_DATASET_TAGS].is_missing);
    assert_false(counts.files[META_VERSIONS].is_missing);
    assert_true(str_find(buf_str(&out), STR("ref=")) == out.len);
    assert_true(str_find(buf_str(&out), STR("tag=")) == out.len);
    dump_fini(&dump);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),  cmocka_unit_test(test_apostrophes_today),
        cmocka_unit_test(test_traps),  cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_refuse), cmocka_unit_test(test_degrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
