/* Plain growing arrays.  Each has its share of max_bytes; growth doubles, and since realloc moves
 * large blocks by remapping them, what is resident is what is used. */

#include "lib/services/enrichment/kaggle_parser/services/meta_tables.h"

#include <stdlib.h>
#include <string.h>

struct meta_link {
    uint32_t tag; /* index of its name */
    uint32_t next;
};

struct meta_spare {
    struct meta_version version; /* texts point into text */
    char *text;                  /* NULL when there was no room */
    size_t n_bytes;
};

#define ROWS_SHARE(max_bytes)  ((max_bytes) / 2)
#define MAP_SHARE(max_bytes)   ((max_bytes) / 8)
#define SMALL_SHARE(max_bytes) ((max_bytes) / 16)
#define FIRST_ITEMS            ((size_t)1024)

void
meta_tables_init(struct meta_tables *tables, size_t max_bytes)
{
    *tables = (struct meta_tables){
        .max_bytes = max_bytes,
        .datasets = ID_MAP_INIT(MAP_SHARE(max_bytes)),
        .owners = {ID_MAP_INIT(SMALL_SHARE(max_bytes)), ID_MAP_INIT(SMALL_SHARE(max_bytes))},
        .names = BUF_INIT(SMALL_SHARE(max_bytes)),
        .tags = ID_MAP_INIT(SMALL_SHARE(max_bytes) / 2),
        .tag_arena = ARENA_INIT(SMALL_SHARE(max_bytes) / 2),
        .spare_of = ID_MAP_INIT(SMALL_SHARE(max_bytes)),
    };
}

void
meta_tables_fini(struct meta_tables *tables)
{
    for (size_t i = 0; i < tables->n_spares; i++)
        free(tables->spares[i].text);
    free(tables->rows);
    free(tables->owner_names);
    free(tables->tag_names);
    free(tables->links);
    free(tables->spares);
    id_map_fini(&tables->datasets);
    id_map_fini(&tables->owners[0]);
    id_map_fini(&tables->owners[1]);
    id_map_fini(&tables->tags);
    id_map_fini(&tables->spare_of);
    buf_fini(&tables->names);
    arena_fini(&tables->tag_arena);
}

/* Room for one more item of item_bytes; the array stays below max_bytes.  Returns the array, moved
 * perhaps, or NULL. */
static void *
reserve_one(void *items, size_t n_items, size_t *cap, size_t item_bytes, size_t max_bytes,
            const char *what, struct error *err)
{
    size_t most = max_bytes / item_bytes;
    size_t wanted = *cap ? *cap * 2 : FIRST_ITEMS;
    void *moved;

    if (n_items < *cap)
        return items;
    if (wanted > most)
        wanted = most;
    moved = n_items < wanted && wanted < META_NO_INDEX ? realloc(items, wanted * item_bytes) : NULL;
    if (!moved) {
        error_ignore(error_set(err, ERR_NOMEM, /* the caller returns -ERR_NOMEM */
                               "no room for more than %zu %s in %zu bytes", n_items, what,
                               max_bytes));
        return NULL;
    }
    *cap = wanted;
    return moved;
}

int
meta_tables_add_row(struct meta_tables *tables, int64_t id, struct meta_row **row,
                    struct error *err)
{
    struct meta_row *rows =
        reserve_one(tables->rows, tables->n_rows, &tables->n_rows_cap, sizeof(*rows),
                    ROWS_SHARE(tables->max_bytes), "datasets", err);
    int rc;

    if (!rows)
        return -ERR_NOMEM;
    tables->rows = rows;
    rc = id_map_insert(&tables->datasets, id, (uint32_t)tables->n_rows, NULL, err);
    if (rc != 1)
        return rc;
    *row = &rows[tables->n_rows++];
    **row = (struct meta_row){
        .id = id, .owner = META_NO_INDEX, .first_tag = META_NO_INDEX, .last_tag = META_NO_INDEX};
    return 1;
}

struct meta_row *
meta_tables_find_row(struct meta_tables *tables, int64_t id)
{
    uint32_t at;

    return id_map_find(&tables->datasets, id, &at) ? &tables->rows[at] : NULL;
}

/* ---- owners ---- */

static struct id_map *
owners_of(struct meta_tables *tables, enum meta_owner kind)
{
    return &tables->owners[kind == META_OWNER_ORGANIZATION];
}

int
meta_tables_set_owner(struct meta_tables *tables, struct meta_row *row, enum meta_owner kind,
                      int64_t id, struct error *err)
{
    uint32_t *names = reserve_one(tables->owner_names, tables->n_owners, &tables->n_owners_cap,
                                  sizeof(*names), SMALL_SHARE(tables->max_bytes), "owners", err);
    int rc;

    if (!names)
        return -ERR_NOMEM;
    tables->owner_names = names;
    rc = id_map_insert(owners_of(tables, kind), id, (uint32_t)tables->n_owners, &row->owner, err);
    if (rc < 0)
        return rc;
    if (rc == 1)
        names[tables->n_owners++] = 0;
    row->owner_kind = (uint8_t)kind;
    return 0;
}

int
meta_tables_name_owner(struct meta_tables *tables, enum meta_owner kind, int64_t id,
                       struct str name, enum meta_named *result, struct error *err)
{
    uint32_t owner;

    *result = META_NAMED_UNUSED;
    if (!id_map_find(owners_of(tables, kind), id, &owner))
        return 0;
    *result = META_NAMED_BEFORE;
    if (tables->owner_names[owner])
        return 0;
    if (tables->names.len == 0)
        buf_append_char(&tables->names, '\0'); /* offset 0 means unknown */
    tables->owner_names[owner] = (uint32_t)tables->names.len;
    buf_append_char(&tables->names, (char)(unsigned char)name.len);
    buf_append(&tables->names, name);
    *result = META_NAMED;
    return buf_status(&tables->names, err);
}

struct str
meta_tables_owner_name(const struct meta_tables *tables, const struct meta_row *row)
{
    const char *entry;

    if (row->owner == META_NO_INDEX || tables->owner_names[row->owner] == 0)
        return STR_NULL;
    entry = tables->names.ptr + tables->owner_names[row->owner];
    return (struct str){entry + 1, (unsigned char)entry[0]};
}

/* ---- tags ---- */

int
meta_tables_add_tag(struct meta_tables *tables, int64_t id, struct str name, struct error *err)
{
    struct str *names =
        reserve_one(tables->tag_names, tables->tags.n_keys, &tables->n_tag_names_cap,
                    sizeof(*names), SMALL_SHARE(tables->max_bytes), "tags", err);
    uint32_t at = (uint32_t)tables->tags.n_keys;
    bool ok = true;
    int rc;

    if (!names)
        return -ERR_NOMEM;
    tables->tag_names = names;
    rc = id_map_insert(&tables->tags, id, at, NULL, err);
    if (rc != 1)
        return rc;
    names[at] = arena_dup(&tables->tag_arena, name, &ok);
    return ok ? 1
              : error_set(err, ERR_NOMEM, "no room for the names of %zu tags", tables->tags.n_keys);
}

int
meta_tables_tag_row(struct meta_tables *tables, struct meta_row *row, int64_t tag_id,
                    enum meta_tagged *result, struct error *err)
{
    struct meta_link *links;
    uint32_t tag;

    *result = META_TAG_UNKNOWN;
    if (!id_map_find(&tables->tags, tag_id, &tag))
        return 0;
    *result = META_TAGGED_BEFORE;
    for (uint32_t at = row->first_tag; at != META_NO_INDEX; at = tables->links[at].next) {
        if (tables->links[at].tag == tag)
            return 0;
    }
    *result = META_TAGS_FULL;
    if (row->n_tags == META_MAX_TAGS)
        return 0;
    links = reserve_one(tables->links, tables->n_links, &tables->n_links_cap, sizeof(*links),
                        MAP_SHARE(tables->max_bytes), "tags of datasets", err);
    if (!links)
        return -ERR_NOMEM;
    tables->links = links;
    links[tables->n_links] = (struct meta_link){tag, META_NO_INDEX};
    if (row->n_tags++ == 0)
        row->first_tag = (uint32_t)tables->n_links;
    else
        links[row->last_tag].next = (uint32_t)tables->n_links;
    row->last_tag = (uint32_t)tables->n_links++;
    *result = META_TAGGED;
    return 0;
}

size_t
meta_tables_get_tags(const struct meta_tables *tables, const struct meta_row *row, struct str *out)
{
    size_t n = 0;

    for (uint32_t at = row->first_tag; at != META_NO_INDEX; at = tables->links[at].next)
        out[n++] = tables->tag_names[tables->links[at].tag];
    return n;
}

/* ---- versions kept aside ---- */

/* The texts of version, copied into one block; false where the ceiling or memory is met. */
static bool
fill_spare(struct meta_tables *tables, struct meta_spare *spare, const struct meta_version *version)
{
    size_t n_bytes = 1; /* never an empty block */
    char *to;

    for (size_t i = 0; i < META_N_TEXTS; i++)
        n_bytes += version->texts[i].len;
    spare->version = *version;
    if (tables->n_spare_bytes + n_bytes > META_SPARES_BYTES)
        return false;
    spare->text = malloc(n_bytes);
    if (!spare->text)
        return false;
    to = spare->text;
    for (size_t i = 0; i < META_N_TEXTS; i++) {
        struct str text = version->texts[i];

        if (text.len)
            (void)memcpy(to, text.ptr, text.len);
        spare->version.texts[i] = text.len ? (struct str){to, text.len} : STR_NULL;
        to += text.len;
    }
    spare->n_bytes = n_bytes;
    tables->n_spare_bytes += n_bytes;
    return true;
}

static bool
is_better(const struct meta_version *version, const struct meta_version *than)
{
    if (version->number != than->number)
        return version->number > than->number;
    return version->id > than->id;
}

int
meta_tables_keep_version(struct meta_tables *tables, const struct meta_row *row,
                         const struct meta_version *version, enum meta_kept *result,
                         struct error *err)
{
    struct meta_spare *spares =
        reserve_one(tables->spares, tables->n_spares, &tables->n_spares_cap, sizeof(*spares),
                    MAP_SHARE(tables->max_bytes), "versions kept aside", err);
    struct meta_spare *spare;
    uint32_t at;
    bool had_text;
    int rc;

    if (!spares)
        return -ERR_NOMEM;
    tables->spares = spares;
    rc = id_map_insert(&tables->spare_of, row - tables->rows, (uint32_t)tables->n_spares, &at, err);
    if (rc < 0)
        return rc;
    spare = &spares[at];
    if (rc == 1) {
        *spare = (struct meta_spare){0};
        tables->n_spares++;
    } else if (!is_better(version, &spare->version)) {
        *result = META_KEPT_NOT;
        return 0;
    }
    had_text = spare->text != NULL;
    free(spare->text);
    tables->n_spare_bytes -= spare->n_bytes;
    spare->text = NULL;
    spare->n_bytes = 0;
    if (fill_spare(tables, spare, version))
        *result = had_text ? META_KEPT_INSTEAD : META_KEPT_FIRST;
    else
        *result = had_text ? META_KEPT_NO_ROOM_INSTEAD : META_KEPT_NO_ROOM;
    return 0;
}

bool
meta_tables_kept_version(const struct meta_tables *tables, const struct meta_row *row,
                         struct meta_version *out)
{
    uint32_t at;

    if (!id_map_find(&tables->spare_of, row - tables->rows, &at) || !tables->spares[at].text)
        return false;
    *out = tables->spares[at].version;
    return true;
}
