/* DCAT 3 as JSON-LD, with the classes and properties of DCAT-AP 3.
 *
 *     dcat:Catalog --dcat:dataset--> dcat:Dataset --dcat:distribution--> dcat:Distribution
 *
 * A dataset is urn:uuid: and the catalogue's id for it, the same for ever; dct:identifier is the
 * source and the source's own stable id.  There is a distribution for each file format, whose
 * dcat:accessURL is the page at the source; the size is told where there is only one.  Licences
 * that have no address are dct:rights in the source's words.
 *
 * Sources: https://www.w3.org/TR/vocab-dcat-3/, https://semiceu.github.io/DCAT-AP/releases/3.0.0/.
 */

#include <inttypes.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "lib/services/export/export_format.h"
#include "lib/services/export/export_links.h"
#include "lib/services/export/export_terms.h"

#define DISTRIBUTIONS_MAX ((size_t)20)

/* clang-format off */
static const char context[] =
    "{\"dcat\":\"http://www.w3.org/ns/dcat#\",\"dct\":\"http://purl.org/dc/terms/\","
    "\"foaf\":\"http://xmlns.com/foaf/0.1/\",\"rdfs\":\"http://www.w3.org/2000/01/rdf-schema#\","
    "\"xsd\":\"http://www.w3.org/2001/XMLSchema#\","
    "\"dct:issued\":{\"@type\":\"xsd:dateTime\"},\"dct:modified\":{\"@type\":\"xsd:dateTime\"},"
    "\"dcat:byteSize\":{\"@type\":\"xsd:nonNegativeInteger\"}}";
/* clang-format on */

static void
member_node(struct json_writer *json, struct str name, struct str type)
{
    json_name(json, name);
    json_begin_object(json);
    json_member_str(json, STR("@type"), type);
}

static void
put_publisher(struct json_writer *json, const struct dataset *row, const struct export_meta *meta)
{
    if (!meta->creator_json.ptr && !dataset_owner(row).len)
        return;
    member_node(json, STR("dct:publisher"), STR("foaf:Agent"));
    (void)export_member_owner_page(json, STR("@id"), row);
    (void)export_member_owner(json, STR("foaf:name"), row, meta);
    json_end_object(json);
}

/* Two-letter codes have an address at the Library of Congress, as DCAT 3 section 6.4.9 asks. */
static void
put_languages(struct json_writer *json, struct str list)
{
    struct json_cursor items = json_cursor_open(list);
    struct json_slice item;

    if (!list.ptr)
        return;
    json_name(json, STR("dct:language"));
    json_begin_array(json);
    while (json_cursor_next(&items, &item)) {
        const char *text = item.value.ptr;

        if (item.value.len != 4 || text[1] < 'a' || text[1] > 'z' || text[2] < 'a' || text[2] > 'z')
            continue;
        json_begin_object(json);
        json_name(json, STR("@id"));
        json_raw(json, STR("\"http://id.loc.gov/vocabulary/iso639-1/"));
        buf_append(json->out, str_slice(item.value, 1, 3));
        buf_append_char(json->out, '"');
        json_member_str(json, STR("@type"), STR("dct:LinguisticSystem"));
        json_end_object(json);
    }
    json_end_array(json);
}

static void
put_license(struct json_writer *json, struct str license)
{
    CLEANUP(buf_fini) struct buf address = BUF_INIT(DATASET_META_BYTES);

    if (str_trim(license).len == 0)
        return;
    if (export_append_license(&address, license) && buf_status(&address, NULL) == 0) {
        member_node(json, STR("dct:license"), STR("dct:LicenseDocument"));
        json_member_str(json, STR("@id"), buf_str(&address));
    } else {
        member_node(json, STR("dct:rights"), STR("dct:RightsStatement"));
        json_member_str(json, STR("rdfs:label"), license);
    }
    json_end_object(json);
}

static void
put_format(struct json_writer *json, struct str file_format)
{
    CLEANUP(buf_fini) struct buf address = BUF_INIT(DATASET_META_BYTES);
    struct str media_type = export_media_type(file_format);

    if (media_type.len) {
        buf_append(&address, STR("https://www.iana.org/assignments/media-types/"));
        buf_append(&address, media_type);
        member_node(json, STR("dcat:mediaType"), STR("dct:MediaType"));
        json_member_str(json, STR("@id"), buf_str(&address));
    } else {
        member_node(json, STR("dct:format"), STR("dct:MediaTypeOrExtent"));
        json_member_str(json, STR("rdfs:label"), file_format);
    }
    json_end_object(json);
}

/* file_format may be absent: nothing is known of the files. */
static void
put_distribution(struct json_writer *json, const struct dataset *row, struct str page,
                 struct str file_format)
{
    json_begin_object(json);
    json_member_str(json, STR("@type"), STR("dcat:Distribution"));
    json_name(json, STR("dcat:accessURL"));
    json_begin_object(json);
    json_member_str(json, STR("@id"), page);
    json_end_object(json);
    if (file_format.len)
        put_format(json, file_format);
    if (row->file_formats.n_items <= 1 && row->total_size_bytes >= 0) {
        char digits[24];

        (void)snprintf(digits, sizeof(digits), "%" PRId64, row->total_size_bytes);
        json_member_str(json, STR("dcat:byteSize"), str_from_cstr(digits));
    }
    put_license(json, row->license);
    json_end_object(json);
}

/* A distribution needs its page; without one the licence stands at the dataset. */
static void
put_access(struct json_writer *json, const struct dataset *row)
{
    CLEANUP(buf_fini) struct buf page = BUF_INIT(DATASET_META_BYTES);
    size_t n_formats = row->file_formats.n_items;

    if (!export_append_address(&page, row->url) || buf_status(&page, NULL) < 0) {
        put_license(json, row->license);
        return;
    }
    member_node(json, STR("dcat:landingPage"), STR("foaf:Document"));
    json_member_str(json, STR("@id"), buf_str(&page));
    json_end_object(json);
    json_name(json, STR("dcat:distribution"));
    json_begin_array(json);
    if (n_formats == 0)
        put_distribution(json, row, buf_str(&page), STR_NULL);
    for (size_t i = 0; i < n_formats && i < DISTRIBUTIONS_MAX; i++)
        put_distribution(json, row, buf_str(&page), row->file_formats.items[i]);
    json_end_array(json);
}

static void
put_identity(struct json_writer *json, const struct dataset *row)
{
    json_name(json, STR("@id"));
    json_raw(json, STR("\"urn:uuid:"));
    buf_append(json->out, row->id);
    buf_append_char(json->out, '"');
    json_member_str(json, STR("@type"), STR("dcat:Dataset"));
    export_member_identifier(json, STR("dct:identifier"), row);
}

static enum export_verdict
append_row(const struct export_document *document, const struct dataset *row, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);
    struct export_meta meta;

    export_meta_read(row, &meta);
    if (document->scope == EXPORT_CATALOGUE)
        buf_append(out, document->n_rows ? STR(",\n") : STR("\n"));
    json_begin_object(&json);
    if (document->scope == EXPORT_ONE) {
        json_name(&json, STR("@context"));
        json_raw(&json, str_from_cstr(context));
    }
    put_identity(&json, row);
    json_member_str(&json, STR("dct:title"), export_title(row));
    if (row->description.len)
        json_member_str(&json, STR("dct:description"), row->description);
    (void)export_member_time(&json, STR("dct:issued"), row->source_created_at_us);
    (void)export_member_time(&json, STR("dct:modified"), row->source_updated_at_us);
    put_publisher(&json, row, &meta);
    export_member_list(&json, STR("dcat:keyword"), row->tags);
    put_languages(&json, meta.language_json);
    if (meta.version_json.ptr) {
        json_name(&json, STR("dcat:version"));
        json_raw(&json, meta.version_json);
    }
    put_access(&json, row);
    json_end_object(&json);
    return export_title(row).len && row->description.len ? EXPORT_COMPLETE : EXPORT_INCOMPLETE;
}

static void
append_begin(const struct export_document *document, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    if (document->scope == EXPORT_ONE)
        return;
    json_begin_object(&json);
    json_name(&json, STR("@context"));
    json_raw(&json, str_from_cstr(context));
    json_member_str(&json, STR("@type"), STR("dcat:Catalog"));
    json_member_str(&json, STR("dct:title"), STR("Trawl catalogue"));
    json_member_str(&json, STR("dct:description"),
                    STR("Public datasets, described by what their sources publish."));
    (void)export_member_time(&json, STR("dct:modified"), document->now_us);
    member_node(&json, STR("dct:publisher"), STR("foaf:Agent"));
    json_member_str(&json, STR("foaf:name"), STR("Trawl"));
    json_end_object(&json);
    json_name(&json, STR("dcat:dataset"));
    buf_append_char(out, '[');
}

static void
append_end(const struct export_document *document, struct buf *out)
{
    buf_append(out, document->scope == EXPORT_ONE ? STR("\n") : STR("\n]}\n"));
}

const struct export_format export_format_dcat = {
    .name = STR_INIT("dcat"),
    .summary = STR_INIT("DCAT 3 in JSON-LD, with the names of DCAT-AP 3"),
    .begin = append_begin,
    .append = append_row,
    .end = append_end,
};
