/* The table of forms; a new one is a file and a name here. */

#include "lib/services/export/export_format.h"

#define NAMES_BYTES ((size_t)512)

const struct export_format *const export_formats[] = {
    &export_format_jsonl,     &export_format_csv,           &export_format_dcat,
    &export_format_croissant, &export_format_croissant_1_0, NULL,
};

int
export_format_find(struct str name, const struct export_format **out, struct error *err)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(NAMES_BYTES);

    for (size_t i = 0; export_formats[i]; i++) {
        if (str_equal(export_formats[i]->name, name)) {
            *out = export_formats[i];
            return 0;
        }
        buf_append(&names, i ? STR(", ") : STR(""));
        buf_append(&names, export_formats[i]->name);
    }
    return error_set(err, ERR_ARGS, "--format must be one of %s, got '%.*s'", buf_cstr(&names),
                     STR_ARG(str_slice(name, 0, 64)));
}
