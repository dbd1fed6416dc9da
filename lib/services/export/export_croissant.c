/* Croissant in JSON-LD, which is schema.org/Dataset and more.
 *
 *     sc:DataCatalog --dataset--> sc:Dataset --distribution--> cr:FileObject
 *
 * A document of one dataset is what Croissant readers load; the catalogue lists datasets of that
 * kind under one @context.  conformsTo is a claim, made only where all that the standard requires
 * is known: name, description, url, license, creator and datePublished.  Without it the row is
 * plain schema.org, and better so than an invalid Croissant.
 *
 * The catalogue has no checksums: what it lists goes on changing at its source, and Croissant
 * frees the files of a dataset with isLiveDataset from them.  Where a claim is not made, the file
 * is an sc:DataDownload.  Columns are known by name only; a cr:Field needs a type, so they are
 * variableMeasured.
 *
 * Source: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html (and -1.0). */

#include <inttypes.h>
#include <stdio.h>

#include "lib/services/export/export_format.h"
#include "lib/services/export/export_links.h"

enum croissant_version { CROISSANT_1_0, CROISSANT_1_1 };

/* The @context that the specification prints: 1.1 has four terms more than 1.0. */
/* clang-format off */
#define CONTEXT_BEGIN \
    "{\"@language\":\"en\",\"@vocab\":\"https://schema.org/\",\"citeAs\":\"cr:citeAs\"," \
    "\"column\":\"cr:column\",\"conformsTo\":\"dct:conformsTo\"," \
    "\"cr\":\"http://mlcommons.org/croissant/\",\"rai\":\"http://mlcommons.org/croissant/RAI/\"," \
    "\"data\":{\"@id\":\"cr:data\",\"@type\":\"@json\"}," \
    "\"dataType\":{\"@id\":\"cr:dataType\",\"@type\":\"@vocab\"}," \
    "\"dct\":\"http://purl.org/dc/terms/\",\"equivalentProperty\":\"cr:equivalentProperty\"," \
    "\"examples\":{\"@id\":\"cr:examples\",\"@type\":\"@json\"},\"extract\":\"cr:extract\"," \
    "\"field\":\"cr:field\",\"fileProperty\":\"cr:fileProperty\",\"fileObject\":\"cr:fileObject\"," \
    "\"fileSet\":\"cr:fileSet\",\"format\":\"cr:format\",\"includes\":\"cr:includes\"," \
    "\"isLiveDataset\":\"cr:isLiveDataset\",\"jsonPath\":\"cr:jsonPath\",\"key\":\"cr:key\"," \
    "\"md5\":\"cr:md5\",\"parentField\":\"cr:parentField\",\"path\":\"cr:path\"," \
    "\"recordSet\":\"cr:recordSet\",\"references\":\"cr:references\",\"regex\":\"cr:regex\"," \
    "\"repeated\":\"cr:repeated\",\"replace\":\"cr:replace\",\"samplingRate\":\"cr:samplingRate\"," \
    "\"sc\":\"https://schema.org/\",\"separator\":\"cr:separator\",\"source\":\"cr:source\"," \
    "\"subField\":\"cr:subField\",\"transform\":\"cr:transform\""

static const struct {
    struct str context;
    struct str conforms_to;
} versions[] = {
    [CROISSANT_1_0] = {STR_INIT(CONTEXT_BEGIN "}"),
                       STR_INIT("http://mlcommons.org/croissant/1.0")},
    [CROISSANT_1_1] = {STR_INIT(CONTEXT_BEGIN
                                ",\"arrayShape\":\"cr:arrayShape\",\"isArray\":\"cr:isArray\","
                                "\"containedIn\":\"cr:containedIn\","
                                "\"description\":{\"@container\":\"@language\"},"
                                "\"name\":{\"@container\":\"@language\"}}"),
                       STR_INIT("http://mlcommons.org/croissant/1.1")},
};
/* clang-format on */

static bool
put_creator(struct json_writer *json, const struct dataset *row, const struct export_meta *meta)
{
    bool is_person = str_equal(row->source_name, STR("kaggle")) && !meta->is_organization;

    if (!meta->creator_json.ptr && !dataset_owner(row).len)
        return false;
    json_name(json, STR("creator"));
    json_begin_object(json);
    json_member_str(json, STR("@type"), is_person ? STR("sc:Person") : STR("sc:Organization"));
    (void)export_member_owner(json, STR("name"), row, meta);
    (void)export_member_owner_page(json, STR("url"), row);
    json_end_object(json);
    return true;
}

static void
put_raw(struct json_writer *json, struct str name, struct str value)
{
    if (!value.ptr)
        return;
    json_name(json, name);
    json_raw(json, value);
}

/* Ids are unique in the catalogue, where several datasets share one document. */
static void
put_file_id(struct json_writer *json, const struct dataset *row)
{
    json_name(json, STR("@id"));
    json_raw(json, STR("\""));
    buf_append(json->out, row->id);
    buf_append(json->out, STR("/files\""));
}

static void
put_distribution(struct json_writer *json, const struct dataset *row, enum export_verdict verdict)
{
    if (!export_download_type(row).len)
        return;
    json_name(json, STR("distribution"));
    json_begin_array(json);
    json_begin_object(json);
    json_member_str(json, STR("@type"),
                    verdict == EXPORT_COMPLETE ? STR("cr:FileObject") : STR("sc:DataDownload"));
    put_file_id(json, row);
    json_member_str(json, STR("name"), STR("files"));
    json_member_str(json, STR("description"), STR("All files, as the source serves them."));
    (void)export_member_download(json, STR("contentUrl"), row);
    json_member_str(json, STR("encodingFormat"), export_download_type(row));
    if (row->total_size_bytes >= 0) {
        char size[32];

        (void)snprintf(size, sizeof(size), "%" PRId64 " B", row->total_size_bytes);
        json_member_str(json, STR("contentSize"), str_from_cstr(size));
    }
    json_end_object(json);
    json_end_array(json);
}

/* What the standard requires; each is written where it is known. */
static enum export_verdict
put_required(struct json_writer *json, const struct dataset *row, const struct export_meta *meta)
{
    bool is_complete = export_title(row).len && row->description.len;

    json_member_str(json, STR("name"), export_title(row));
    if (row->description.len)
        json_member_str(json, STR("description"), row->description);
    is_complete &= export_member_page(json, STR("url"), row);
    is_complete &= put_creator(json, row, meta);
    is_complete &= export_member_time(json, STR("datePublished"), row->source_created_at_us);
    if (!export_member_license(json, STR("license"), row->license)) {
        is_complete = false;
        if (row->license.len)
            json_member_str(json, STR("usageInfo"), row->license);
    }
    return is_complete ? EXPORT_COMPLETE : EXPORT_INCOMPLETE;
}

static enum export_verdict
append_version(const struct export_document *document, const struct dataset *row, struct buf *out,
               enum croissant_version version)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    enum export_verdict verdict;
    struct export_meta meta;

    export_meta_read(row, &meta);
    if (document->scope == EXPORT_CATALOGUE)
        buf_append(out, document->n_rows ? STR(",\n") : STR("\n"));
    json_begin_object(&json);
    if (document->scope == EXPORT_ONE) {
        json_name(&json, STR("@context"));
        json_raw(&json, versions[version].context);
    }
    json_member_str(&json, STR("@type"), STR("sc:Dataset"));
    verdict = put_required(&json, row, &meta);
    if (verdict == EXPORT_COMPLETE) {
        json_member_str(&json, STR("conformsTo"), versions[version].conforms_to);
        json_member_bool(&json, STR("isLiveDataset"), true);
    }
    export_member_identifier(&json, STR("identifier"), row);
    if (row->title.len && !str_equal(row->title, row->external_id))
        json_member_str(&json, STR("alternateName"), row->external_id);
    (void)export_member_time(&json, STR("dateModified"), row->source_updated_at_us);
    export_member_list(&json, STR("keywords"), row->tags);
    export_member_list(&json, STR("variableMeasured"), row->column_names);
    put_raw(&json, STR("inLanguage"), meta.language_json);
    put_raw(&json, STR("version"), meta.version_json);
    put_raw(&json, STR("citeAs"), meta.citation_json);
    put_distribution(&json, row, verdict);
    (void)export_member_time(&json, STR("sdDatePublished"), document->now_us);
    json_end_object(&json);
    return verdict;
}

static void
begin_version(const struct export_document *document, struct buf *out,
              enum croissant_version version)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    if (document->scope == EXPORT_ONE)
        return;
    json_begin_object(&json);
    json_name(&json, STR("@context"));
    json_raw(&json, versions[version].context);
    json_member_str(&json, STR("@type"), STR("sc:DataCatalog"));
    json_member_str(&json, STR("name"), STR("Trawl catalogue"));
    json_member_str(&json, STR("description"),
                    STR("Public datasets, described by what their sources publish."));
    (void)export_member_time(&json, STR("dateModified"), document->now_us);
    json_name(&json, STR("dataset"));
    buf_append_char(out, '[');
}

static void
append_end(const struct export_document *document, struct buf *out)
{
    buf_append(out, document->scope == EXPORT_ONE ? STR("\n") : STR("\n]}\n"));
}

static void
begin_1_1(const struct export_document *document, struct buf *out)
{
    begin_version(document, out, CROISSANT_1_1);
}

static void
begin_1_0(const struct export_document *document, struct buf *out)
{
    begin_version(document, out, CROISSANT_1_0);
}

static enum export_verdict
append_1_1(const struct export_document *document, const struct dataset *row, struct buf *out)
{
    return append_version(document, row, out, CROISSANT_1_1);
}

static enum export_verdict
append_1_0(const struct export_document *document, const struct dataset *row, struct buf *out)
{
    return append_version(document, row, out, CROISSANT_1_0);
}

const struct export_format export_format_croissant = {
    .name = STR_INIT("croissant"),
    .summary = STR_INIT("Croissant 1.1 in JSON-LD, which is schema.org too"),
    .begin = begin_1_1,
    .append = append_1_1,
    .end = append_end,
};

const struct export_format export_format_croissant_1_0 = {
    .name = STR_INIT("croissant-1.0"),
    .summary = STR_INIT("the same, for readers of Croissant 1.0"),
    .begin = begin_1_0,
    .append = append_1_0,
    .end = append_end,
};
