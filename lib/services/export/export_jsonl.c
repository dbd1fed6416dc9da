/* JSON Lines: all that the catalogue knows of a dataset, an object a line. */

#include "lib/models/dataset_json.h"
#include "lib/services/export/export_format.h"

static enum export_verdict
append_row(const struct export_document *document, const struct dataset *row, struct buf *out)
{
    struct json_writer json = JSON_WRITER_INIT(out);

    (void)document;
    json_begin_object(&json);
    dataset_json_members(&json, row);
    json_end_object(&json);
    buf_append_char(out, '\n');
    return EXPORT_COMPLETE;
}

const struct export_format export_format_jsonl = {
    .name = STR_INIT("jsonl"),
    .summary = STR_INIT("JSON Lines, everything the catalogue knows"),
    .append = append_row,
};
