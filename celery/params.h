#pragma once

/* Parameter tables: from a message's arguments, or from words on a command line, to a task's
 * struct. Everything unknown, missing or out of range is an error that says what is allowed.  Pure.
 */

#include <trawl/error.h>
#include <trawl/task.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

/* Fill a new struct of task->args_bytes bytes.
 *
 * args, kwargs  positional and named values, as Celery's protocol carries them; either may be NULL
 * out           in the arena; its texts are borrowed from the JSON values
 *
 * Errors: ERR_ARGS (unknown name, too many, given twice, wrong type), ERR_INVALID (out of range,
 * not one of the choices), ERR_NOMEM. */
MUST_CHECK int celery_params_bind(const struct celery_task *task, const struct json *args,
                                  const struct json *kwargs, struct arena *arena, void **out,
                                  struct error *err);

/* One word of a command line as a JSON value of the parameter's type: "12" for an INT, "true",
 * "yes", "0" ... for a BOOL, quoted text for a STR.  Errors: ERR_ARGS, naming the parameter. */
MUST_CHECK int celery_param_write_json(const struct celery_param *param, struct str word,
                                       struct buf *out, struct error *err);

/* The row with that name ("batch-size" finds batch_size too), or NULL. */
const struct celery_param *celery_params_find(const struct celery_task *task, struct str name);

/* ERR_ARGS: "got an unexpected parameter", with the nearest name or all of them. */
MUST_CHECK int celery_params_refuse_name(const struct celery_task *task, struct str name,
                                         struct error *err);
