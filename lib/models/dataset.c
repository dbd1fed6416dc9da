/* Names of the states, and the text of a dataset that is embedded. */

#include "lib/models/dataset.h"

#include "base/digest.h"

static const char *const status_names[] = {
#define DATASET_STATUS_NAME(name, text) text,
    DATASET_STATUSES(DATASET_STATUS_NAME)
#undef DATASET_STATUS_NAME
};

void
dataset_init(struct dataset *dataset)
{
    *dataset = (struct dataset){
        .total_size_bytes = DATASET_UNKNOWN,
        .row_count = DATASET_UNKNOWN,
        .download_count = DATASET_UNKNOWN,
        .view_count = DATASET_UNKNOWN,
        .like_count = DATASET_UNKNOWN,
        .source_created_at_us = DATASET_UNKNOWN,
        .source_updated_at_us = DATASET_UNKNOWN,
        .status = DATASET_MINIMAL,
        .is_active = true,
        .last_enriched_at_us = DATASET_UNKNOWN,
        .next_attempt_at_us = DATASET_UNKNOWN,
        .last_checked_at_us = DATASET_UNKNOWN,
    };
}

const char *
dataset_status_name(enum dataset_status status)
{
    return (size_t)status < COUNT_OF(status_names) ? status_names[status] : "unknown";
}

int
dataset_parse_status(struct str text, enum dataset_status *out, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(status_names); i++) {
        if (str_equal(text, str_from_cstr(status_names[i]))) {
            *out = (enum dataset_status)i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "'%.*s' is no enrichment status",
                     STR_ARG(str_slice(text, 0, 32)));
}

struct str
dataset_owner(const struct dataset *dataset)
{
    size_t slash = str_find_char(dataset->external_id, '/');

    return slash < dataset->external_id.len ? str_slice(dataset->external_id, 0, slash) : STR("");
}

void
dataset_append_text(const struct dataset *dataset, struct buf *out)
{
    if (dataset->title.len) {
        buf_append(out, dataset->title);
        buf_append_char(out, ' ');
        buf_append(out, dataset->title);
    }
    if (dataset->title.len && dataset->description.len)
        buf_append_char(out, ' ');
    buf_append(out, dataset->description);
}

int
dataset_text_hash(const struct dataset *dataset, unsigned char out[DATASET_HASH_BYTES],
                  struct error *err)
{
    unsigned char digest[SHA256_BYTES];
    struct buf text = BUF_INIT(2 * DATASET_TITLE_BYTES + DATASET_DESCRIPTION_BYTES + 2);
    int rc;

    dataset_append_text(dataset, &text);
    rc = buf_status(&text, err);
    if (rc == 0)
        rc = digest_sha256(buf_str(&text), digest, err);
    if (rc == 0)
        (void)memcpy(out, digest, DATASET_HASH_BYTES);
    buf_fini(&text);
    return rc;
}
