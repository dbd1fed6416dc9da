/* A row's UUID is made of its source and source_key, so the key alone finds it. */

#include "lib/services/enrichment/kaggle_parser/known_row.h"

#include "base/uuid.h"
#include "lib/services/enrichment/kaggle_parser/mapper.h"

int
kaggle_known_find(struct dataset_repo *datasets, struct str source_key, struct arena *arena,
                  struct dataset *out, struct error *err)
{
    char uuid[UUID_TEXT_BYTES];
    char *name = arena_printf(arena, "%.*s:%.*s", STR_ARG(KAGGLE_SOURCE_NAME), STR_ARG(source_key));
    int rc;

    if (!name)
        return error_set(err, ERR_NOMEM, "no memory for the id of a dataset");
    rc = uuid_from_name(str_from_cstr(name), uuid, err);
    if (rc < 0)
        return rc;
    return dataset_repo_find(datasets, str_from_cstr(uuid), arena, out, err);
}
