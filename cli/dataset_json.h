#pragma once

/* A dataset as one JSON object: the form of search, show and export. */

#include "base/json_writer.h"
#include "lib/models/dataset.h"

/* Members only, inside an object that the caller has begun, so that it can add its own. */
void dataset_json_members(struct json_writer *json, const struct dataset *dataset);
