#pragma once

/* A dataset as one JSON object: the form of search, show and export. */

#include "base/json_writer.h"
#include "lib/models/dataset.h"

/* Members only, inside an object that the caller has begun, so that it can add its own.
 *
 * One line of valid JSON whatever the row holds: a source_meta that is not one line of JSON in
 * UTF-8 becomes a string. */
void dataset_json_members(struct json_writer *json, const struct dataset *dataset);
