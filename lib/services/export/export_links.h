#pragma once

/* What a linked-data form says of a row beyond its columns: who made it, where its files are, which
 * version and languages; from source_meta and the habits of its source. */

#include "base/json_writer.h"
#include "lib/models/dataset.h"

/* The texts are JSON, quotes and all, as they stood in source_meta; STR_NULL where it has none. */
struct export_meta {
    struct str creator_json; /* the name of a person or an organization */
    struct str version_json; /* commit or number, as a string or a number */
    struct str citation_json;
    struct str language_json; /* array of strings */
    bool is_organization;     /* the source says so */
};

/* Borrowed from row.  A source_meta that is no valid JSON has none of them. */
void export_meta_read(const struct dataset *row, struct export_meta *out);

/* The title, or the reference of a row without one. */
struct str export_title(const struct dataset *row);

/* A member each, the value an address; they write nothing and return false where there is none:
 * the row's page, its owner's page, and where all files come from in one transfer. */
bool export_member_page(struct json_writer *json, struct str name, const struct dataset *row);
bool export_member_owner_page(struct json_writer *json, struct str name, const struct dataset *row);
bool export_member_download(struct json_writer *json, struct str name, const struct dataset *row);

/* A member that is the dataset's stable name: source and the source's own id, "kaggle:23". */
void export_member_identifier(struct json_writer *json, struct str name, const struct dataset *row);

/* What the download is: "application/zip", "git+https"; STR_NULL without one. */
struct str export_download_type(const struct dataset *row);

/* A member that is the owner's name; false where the owner is unknown. */
bool export_member_owner(struct json_writer *json, struct str name, const struct dataset *row,
                         const struct export_meta *meta);

/* A member that is a time, an address of a licence, or a list of texts; nothing when unknown. */
bool export_member_time(struct json_writer *json, struct str name, int64_t time_us);
bool export_member_license(struct json_writer *json, struct str name, struct str license);
void export_member_list(struct json_writer *json, struct str name, struct str_list list);
