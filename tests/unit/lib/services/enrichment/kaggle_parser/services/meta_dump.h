#pragma once

/* Small Meta Kaggle dumps in a directory of their own, and the join's answer as a text. */

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/timestamp.h"
#include "lib/services/enrichment/kaggle_parser/services/meta_parser.h"
#include "tests/unit/check.h"

#define DUMP_OUT_BYTES ((size_t)16 << 20)

struct dump {
    char dir[64];
};

static inline void
dump_init(struct dump *dump)
{
    (void)snprintf(dump->dir, sizeof(dump->dir), "/tmp/trawl_meta.XXXXXX");
    assert_non_null(mkdtemp(dump->dir));
}

static inline const char *
dump_path(const struct dump *dump, const char *name, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", dump->dir, name);
    return path;
}

/* Its files and itself; there are no directories within. */
static inline void
dump_fini(struct dump *dump)
{
    DIR *dir = opendir(dump->dir);
    struct dirent *entry;
    char path[512];

    while (dir && (entry = readdir(dir))) {
        (void)snprintf(path, sizeof(path), "%s/%s", dump->dir, entry->d_name);
        (void)unlink(path); /* fails for "." and ".." */
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(dump->dir);
}

static inline void
dump_write(const struct dump *dump, const char *name, struct str text)
{
    char path[256];
    FILE *file = fopen(dump_path(dump, name, path), "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static inline void
write_time(struct buf *out, const char *name, int64_t time_us)
{
    char text[TIMESTAMP_TEXT_BYTES];

    if (time_us != TIME_UNKNOWN)
        buf_printf(out, " %s=%s", name, timestamp_format(time_us, text));
}

static inline void
write_total(struct buf *out, const char *name, int64_t total)
{
    if (total >= 0)
        buf_printf(out, " %s=%" PRId64, name, total);
}

static inline void
write_text(struct buf *out, const char *name, struct str text)
{
    if (text.ptr)
        buf_printf(out, " %s=%.*s", name, STR_ARG(text));
}

/* "1: 7 alice/cats v70.2 title=Cats ... complete"; what is unknown is left out. */
static inline int
write_row(void *context, const struct meta_dataset *row, struct error *err)
{
    static const char *const kinds[] = {"nobody", "user", "organization"};
    static const char *const ends[] = {"complete", "no ref", "minimal"};
    struct buf *out = context;

    (void)err;
    buf_printf(out, "%" PRIu64 ": %" PRId64, row->position, row->id);
    write_text(out, "ref", row->ref);
    if (!row->ref.ptr) {
        write_text(out, "owner", row->owner);
        write_text(out, "slug", row->slug);
    }
    if (row->version_id)
        buf_printf(out, " version=%" PRId64 ".%" PRId64, row->version_id, row->version_number);
    write_text(out, "title", row->title);
    write_text(out, "subtitle", row->subtitle);
    write_text(out, "description", row->description);
    write_text(out, "license", row->license);
    for (size_t i = 0; i < row->tags.n_items; i++)
        write_text(out, "tag", row->tags.items[i]);
    write_total(out, "bytes", row->n_bytes);
    write_time(out, "created", row->created_at_us);
    write_time(out, "updated", row->updated_at_us);
    write_total(out, "views", row->n_views);
    write_total(out, "downloads", row->n_downloads);
    write_total(out, "votes", row->n_votes);
    write_total(out, "kernels", row->n_kernels);
    buf_printf(out, " %s %s\n", kinds[row->owner_kind], ends[row->completeness]);
    return 0;
}

static inline void
write_reject(void *context, const struct meta_reject *reject)
{
    buf_printf(context, "! %s record %" PRIu64 " byte %" PRIu64 " line %" PRIu64 ": %s\n",
               reject->file_name, reject->record_no, reject->offset, reject->line_no,
               reject->reason);
}

/* Every record in exactly one count, every dataset in exactly one row. */
static inline void
check_balance(const struct meta_counts *counts)
{
    for (size_t i = 0; i < META_N_FILES; i++) {
        const struct meta_file_counts *file = &counts->files[i];
        uint64_t sum = file->n_used + file->n_rejected;

        for (size_t j = 0; j < META_N_SKIPS; j++)
            sum += file->n_skipped[j];
        assert_int_equal(sum, file->n_records);
    }
    assert_int_equal(counts->n_complete + counts->n_no_ref + counts->n_minimal,
                     counts->files[META_DATASETS].n_used);
    assert_int_equal(counts->n_complete + counts->n_no_ref, counts->files[META_VERSIONS].n_used);
}

/* Run the join over path: its rows and rejects are appended to out; counts may be NULL. */
static inline int
dump_run(const char *path, const struct meta_options *options, struct buf *out,
         struct meta_counts *counts, struct error *err)
{
    CLEANUP(kaggle_meta_source_closep) struct kaggle_meta_source *source = NULL;
    struct meta_sink sink = {.row = write_row, .reject = write_reject, .context = out};
    struct meta_counts mine;
    int rc = kaggle_meta_source_open(path, NULL, &source, err);

    if (rc == 0)
        rc = kaggle_meta_parser_run(source, options, &sink, &mine, err);
    if (rc < 0)
        return rc;
    check_balance(&mine);
    if (counts)
        *counts = mine;
    return buf_status(out, err);
}

/* ---- a dump of today's form ---- */

#define DUMP_DATASETS_HEADER                                                                       \
    "Id,CreatorUserId,OwnerUserId,OwnerOrganizationId,CurrentDatasetVersionId,"                    \
    "CurrentDatasourceVersionId,ForumId,Type,CreationDate,LastActivityDate,TotalViews,"            \
    "TotalDownloads,TotalVotes,TotalKernels,Medal,MedalAwardDate\n"
#define DUMP_VERSIONS_HEADER                                                                       \
    "Id,DatasetId,DatasourceVersionId,CreatorUserId,LicenseName,CreationDate,VersionNumber,Title," \
    "Slug,Subtitle,Description,VersionNotes,TotalCompressedBytes,TotalUncompressedBytes\n"
#define DUMP_USERS_HEADER         "Id,UserName,DisplayName,RegisterDate,PerformanceTier,Country\n"
#define DUMP_ORGANIZATIONS_HEADER "Id,Name,Slug,CreationDate,Description\n"
#define DUMP_TAGS_HEADER                                                                           \
    "Id,ParentTagId,Name,Slug,FullPath,Description,DatasetCount,CompetitionCount,KernelCount\n"
#define DUMP_DATASET_TAGS_HEADER "Id,DatasetId,TagId\n"

/* The two required files; the others are left out where NULL. */
struct dump_texts {
    const char *datasets;
    const char *versions;
    const char *users;
    const char *organizations;
    const char *tags;
    const char *dataset_tags;
};

static inline void
dump_write_all(const struct dump *dump, const struct dump_texts *texts)
{
    const char *const by_file[META_N_FILES] = {
        [META_DATASETS] = texts->datasets,           [META_USERS] = texts->users,
        [META_ORGANIZATIONS] = texts->organizations, [META_TAGS] = texts->tags,
        [META_DATASET_TAGS] = texts->dataset_tags,   [META_VERSIONS] = texts->versions,
    };

    for (size_t i = 0; i < META_N_FILES; i++) {
        char path[256];

        if (by_file[i])
            dump_write(dump, kaggle_meta_file_name((enum meta_file)i), str_from_cstr(by_file[i]));
        else
            (void)unlink(dump_path(dump, kaggle_meta_file_name((enum meta_file)i), path));
    }
}
