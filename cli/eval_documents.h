#pragma once

/* A catalogue of its own for the documents of a judged collection: made in a temporary directory,
 * embedded and scored, gone when it is closed. */

#include <trawl/error.h>
#include <trawl/str.h>

#include "cli/cli.h"

struct eval_catalogue {
    char dir[128];
    struct config *config;
    struct container *app;
};

/* documents: a JSON object a line, with "_id", "id" or "docid", "title", "text" or "description",
 * and where they are known "license", "tags", "file_formats", "column_names", "download_count",
 * "like_count", "view_count".  The settings are cli's, but for the database.  Without a model the
 * documents stay without vectors.  Errors: ERR_INVALID with the line, the database's. */
MUST_CHECK int eval_catalogue_open(struct cli *cli, struct str documents,
                                   struct eval_catalogue *out, struct error *err);
void eval_catalogue_close(struct eval_catalogue *self);
