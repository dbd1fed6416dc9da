/* Texts are cleaned here as everything else that is kept: what authors write is no protocol. */

#include "lib/services/enrichment/hf_parser/source_meta.h"

#include <math.h>

#include "base/json_writer.h"
#include "lib/models/dataset.h"
#include "lib/services/enrichment/hf_parser/text.h"

#define TEXT_BYTES     ((size_t)500)
#define CITATION_BYTES ((size_t)4000)

enum extent { META_FULL, META_LEAN };

struct meta_writer {
    struct json_writer json;
    struct arena *arena;
    struct error *err;
    int rc; /* the first lack of memory sticks */
};

static void
put_text(struct meta_writer *self, struct str key, struct str text)
{
    struct str line;

    if (self->rc == 0)
        self->rc = hf_text_clean_line(text, TEXT_BYTES, self->arena, &line, self->err);
    if (self->rc == 0 && line.len)
        json_member_str(&self->json, key, line);
}

static void
put_i64(struct meta_writer *self, struct str key, int64_t value)
{
    if (value != DATASET_UNKNOWN)
        json_member_i64(&self->json, key, value);
}

static void
put_citation(struct meta_writer *self, struct str text)
{
    struct str citation;

    if (self->rc == 0)
        self->rc = hf_text_clean(text, CITATION_BYTES, self->arena, &citation, self->err);
    if (self->rc == 0 && citation.len)
        json_member_str(&self->json, STR("citation"), citation);
}

static void
put_facets(struct meta_writer *self, const struct hf_facets *facets)
{
    for (size_t i = 0; i < HF_N_FACETS; i++) {
        struct str key = hf_facet_meta_key((enum hf_facet)i);

        if (key.len == 0 || facets->lists[i].n_items == 0)
            continue;
        json_name(&self->json, key);
        json_begin_array(&self->json);
        for (size_t k = 0; k < facets->lists[i].n_items; k++)
            json_str(&self->json, facets->lists[i].items[k]);
        json_end_array(&self->json);
    }
}

static void
put_configs(struct meta_writer *self, const struct hf_info *info)
{
    if (info->n_configs == 0)
        return;
    json_name(&self->json, STR("configs"));
    json_begin_array(&self->json);
    for (size_t i = 0; i < info->n_configs; i++) {
        json_begin_object(&self->json);
        json_member_str(&self->json, STR("name"), info->configs[i].name);
        put_i64(self, STR("rows"), info->configs[i].n_rows);
        put_i64(self, STR("bytes"), info->configs[i].n_bytes);
        json_end_object(&self->json);
    }
    json_end_array(&self->json);
}

static void
put_row(struct meta_writer *self, const struct hf_row *row)
{
    put_text(self, STR("author"), row->author);
    put_text(self, STR("sha"), row->sha);
    put_text(self, STR("gated"), row->gated);
    if (row->is_private)
        json_member_bool(&self->json, STR("private"), true);
    if (row->is_disabled)
        json_member_bool(&self->json, STR("disabled"), true);
    put_i64(self, STR("downloads_30d"), row->n_downloads);
    put_i64(self, STR("downloads_all_time"), row->n_downloads_ever);
    if (isfinite(row->trending_score))
        json_member_f64(&self->json, STR("trending_score"), row->trending_score);
    put_i64(self, STR("main_size"), row->main_bytes);
    put_i64(self, STR("used_storage"), row->used_bytes);
    put_text(self, STR("paperswithcode_id"), row->paperswithcode_id);
}

static int
write_object(const struct hf_meta_parts *parts, enum extent extent, struct arena *arena,
             struct buf *out, struct error *err)
{
    struct meta_writer self = {JSON_WRITER_INIT(out), arena, err, 0};

    json_begin_object(&self.json);
    put_row(&self, parts->row);
    put_text(&self, STR("license_name"), json_get_str(parts->card, STR("license_name")));
    put_text(&self, STR("license_link"), json_get_str(parts->card, STR("license_link")));
    if (extent == META_FULL) {
        put_facets(&self, parts->facets);
        put_configs(&self, parts->info);
        put_citation(&self, parts->row->citation);
    }
    json_end_object(&self.json);
    return self.rc < 0 ? self.rc : buf_status(out, err);
}

int
hf_meta_write(const struct hf_meta_parts *parts, struct arena *arena, struct str *out,
              struct error *err)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(DATASET_META_BYTES);
    bool ok = true;
    struct str copy;
    int rc;

    rc = write_object(parts, META_FULL, arena, &buf, err);
    if (rc == -ERR_TOO_LARGE) {
        buf_clear(&buf);
        rc = write_object(parts, META_LEAN, arena, &buf, err);
    }
    if (rc < 0)
        return rc;
    copy = arena_dup(arena, buf_str(&buf), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for source_meta of %zu bytes", buf.len);
    *out = copy;
    return 0;
}
