/* Merging what a source sends into what is stored, field by field, in tables: a new field is one
 * row.
 *
 * Lists are compared as the JSON texts that they are stored as; source_meta is merged key by key,
 * because the dump and the API of one source send different keys. */

#include "base/json.h"
#include "base/json_writer.h"
#include "lib/repositories/dataset_sqlite.h"

#define META_KEYS_MAX ((size_t)1000)
#define LIST_BYTES    ((size_t)1 << 20)
#define NAME_BYTES    ((size_t)400) /* of external_id and source_key: they are indexed */
#define SHORT_BYTES   ((size_t)4096)

static const struct {
    const char *name;
    size_t offset; /* of a struct str in struct dataset */
    size_t max_bytes;
    unsigned changes;
} texts[] = {
    {"external_id", offsetof(struct dataset, external_id), NAME_BYTES,
     CHANGE_WIDE | CHANGE_KEYWORDS | CHANGE_NAME},
    {"title", offsetof(struct dataset, title), DATASET_TITLE_BYTES,
     CHANGE_WIDE | CHANGE_KEYWORDS | CHANGE_TEXT},
    {"description", offsetof(struct dataset, description), DATASET_DESCRIPTION_BYTES,
     CHANGE_WIDE | CHANGE_KEYWORDS | CHANGE_TEXT},
    {"license", offsetof(struct dataset, license), SHORT_BYTES, CHANGE_WIDE | CHANGE_KEYWORDS},
    {"url", offsetof(struct dataset, url), SHORT_BYTES, CHANGE_WIDE},
};

static const struct {
    const char *name;
    size_t offset;        /* of a struct str_list in struct dataset */
    size_t record_offset; /* of its JSON text in struct dataset_record */
} lists[] = {
    {"tags", offsetof(struct dataset, tags), offsetof(struct dataset_record, tags)},
    {"file_formats", offsetof(struct dataset, file_formats),
     offsetof(struct dataset_record, file_formats)},
    {"column_names", offsetof(struct dataset, column_names),
     offsetof(struct dataset_record, column_names)},
};

static const size_t number_offsets[] = {
    offsetof(struct dataset, total_size_bytes),     offsetof(struct dataset, row_count),
    offsetof(struct dataset, download_count),       offsetof(struct dataset, view_count),
    offsetof(struct dataset, like_count),           offsetof(struct dataset, source_created_at_us),
    offsetof(struct dataset, source_updated_at_us),
};

static struct str
text_at(const struct dataset *dataset, size_t offset)
{
    return *(const struct str *)((const char *)dataset + offset);
}

int
dataset_check_row(const struct dataset *row, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct str text = text_at(row, texts[i].offset);

        if (text.len > texts[i].max_bytes)
            return error_set(err, ERR_TOO_LARGE, "%s of %zu bytes: at most %zu are stored",
                             texts[i].name, text.len, texts[i].max_bytes);
    }
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        const struct str_list *list =
            (const struct str_list *)((const char *)row + lists[i].offset);

        if (list->n_items > DATASET_LIST_ITEMS)
            return error_set(err, ERR_TOO_LARGE, "%s with %zu items: at most %zu are stored",
                             lists[i].name, list->n_items, DATASET_LIST_ITEMS);
    }
    if (row->source_meta.len > DATASET_META_BYTES)
        return error_set(err, ERR_TOO_LARGE, "source_meta of %zu bytes: at most %zu are stored",
                         row->source_meta.len, DATASET_META_BYTES);
    return 0;
}

/* A finished buffer's text into the arena; the buffer is freed. */
static int
take_text(struct buf *buf, struct arena *arena, struct str *out, struct error *err)
{
    bool ok = true;
    int rc = buf_status(buf, err);

    if (rc == 0)
        *out = arena_dup(arena, buf_str(buf), &ok);
    buf_fini(buf);
    return ok ? rc : error_set(err, ERR_NOMEM, "no memory to merge a dataset");
}

static int
format_list(const struct str_list *list, struct arena *arena, struct str *out, struct error *err)
{
    struct buf buf = BUF_INIT(LIST_BYTES);
    struct json_writer writer = JSON_WRITER_INIT(&buf);

    json_begin_array(&writer);
    for (size_t i = 0; i < list->n_items; i++)
        json_str(&writer, list->items[i].ptr ? list->items[i] : STR(""));
    json_end_array(&writer);
    return take_text(&buf, arena, out, err);
}

static int
parse_meta(struct str text, struct arena *arena, struct json *out, struct error *err)
{
    int rc = json_parse(text, NULL, arena, out, err);

    if (rc < 0)
        return error_wrap(err, rc, "source_meta");
    if (out->type != JSON_OBJECT)
        return error_set(err, ERR_INVALID, "source_meta is a JSON %s, not an object",
                         json_type_name(out->type));
    if (out->object.n_members > META_KEYS_MAX)
        return error_set(err, ERR_TOO_LARGE, "source_meta with %zu keys: at most %zu are stored",
                         out->object.n_members, META_KEYS_MAX);
    return 0;
}

/* The members of object, each with the value that over has for it, once where a name is repeated;
 * names that skip has are left out. */
static void
write_members(struct json_writer *writer, const struct json *object, const struct json *over,
              const struct json *skip)
{
    for (size_t i = 0; i < object->object.n_members; i++) {
        const struct json_member *member = &object->object.members[i];
        const struct json *value = json_get(over, member->name);

        if (json_get(object, member->name) != &member->value || json_get(skip, member->name))
            continue;
        json_name(writer, member->name);
        json_value(writer, value ? value : &member->value);
    }
}

/* Sent keys win, stored ones stay; where both together are too large, what was sent alone. */
static int
merge_meta(struct str stored_text, struct str sent_text, struct arena *arena, struct str *out,
           struct error *err)
{
    struct buf buf = BUF_INIT(2 * DATASET_META_BYTES + 16);
    struct json_writer writer = JSON_WRITER_INIT(&buf);
    struct json stored = {.type = JSON_OBJECT};
    struct json sent;
    int rc = parse_meta(sent_text, arena, &sent, err);

    if (rc == 0 && stored_text.ptr)
        rc = parse_meta(stored_text, arena, &stored, err);
    if (rc < 0)
        return rc;
    json_begin_object(&writer);
    write_members(&writer, &stored, &sent, NULL);
    write_members(&writer, &sent, NULL, &stored);
    json_end_object(&writer);
    if (buf.rc == 0 && buf.len > DATASET_META_BYTES) {
        buf_clear(&buf);
        writer = (struct json_writer)JSON_WRITER_INIT(&buf);
        json_begin_object(&writer);
        write_members(&writer, &sent, NULL, NULL);
        json_end_object(&writer);
    }
    return take_text(&buf, arena, out, err);
}

static void
take_str(struct str *stored, struct str sent, unsigned change, unsigned *changes)
{
    if (!sent.ptr || (stored->ptr && str_equal(*stored, sent)))
        return;
    *stored = sent;
    *changes |= change;
}

static int
merge_lists(struct dataset_record *record, const struct dataset *row, struct arena *arena,
            unsigned *changes, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        const struct str_list *sent =
            (const struct str_list *)((const char *)row + lists[i].offset);
        struct str json = STR_NULL;
        int rc = sent->items ? format_list(sent, arena, &json, err) : 0;

        if (rc < 0)
            return error_wrap(err, rc, "%s", lists[i].name);
        take_str((struct str *)((char *)record + lists[i].record_offset), json,
                 CHANGE_WIDE | CHANGE_KEYWORDS, changes);
    }
    return 0;
}

int
dataset_merge(struct dataset_record *record, const struct dataset *row, struct arena *arena,
              unsigned *changes, struct error *err)
{
    struct dataset *stored = &record->dataset;
    struct str meta = STR_NULL;
    int rc;

    *changes = 0;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        take_str((struct str *)((char *)stored + texts[i].offset), text_at(row, texts[i].offset),
                 texts[i].changes, changes);
    for (size_t i = 0; i < COUNT_OF(number_offsets); i++) {
        int64_t *number = (int64_t *)((char *)stored + number_offsets[i]);
        int64_t sent = *(const int64_t *)((const char *)row + number_offsets[i]);

        if (sent == DATASET_UNKNOWN || sent == *number)
            continue;
        *number = sent;
        *changes |= CHANGE_NUMBERS;
    }
    rc = merge_lists(record, row, arena, changes, err);
    if (rc == 0 && row->source_meta.ptr && !str_equal(stored->source_meta, row->source_meta))
        rc = merge_meta(stored->source_meta, row->source_meta, arena, &meta, err);
    if (rc == 0)
        take_str(&stored->source_meta, meta, CHANGE_NUMBERS, changes);
    return rc;
}
