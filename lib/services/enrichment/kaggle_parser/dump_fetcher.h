#pragma once

/* The six files of Meta Kaggle, downloaded into the cache: what kaggle.seed_initial reads when it
 * is given no path.  dump_cache.h tells what lies where.
 *
 * VERSION is what Kaggle says of kaggle/meta-kaggle.  A file may be a zip whatever its name says:
 * the parser looks at its bytes.  Credentials go to Kaggle and not to the storage it redirects to.
 */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "lib/core/http.h"
#include "lib/services/enrichment/kaggle_parser/client_kaggle.h"
#include "lib/services/enrichment/kaggle_parser/seed_service.h"

struct kaggle_dump_downloads;

/* Texts are copied, the rest is borrowed. */
struct kaggle_dump_downloads_options {
    struct http_client *http;     /* one that repeats what can be repeated */
    struct kaggle_client *client; /* asked for the version */
    struct str rest_url;          /* empty = KAGGLE_REST_URL */
    struct str authorization;     /* absent = anonymous */
    struct str cache_dir;
    int64_t min_interval_ms; /* between the first requests of two downloads */
};

MUST_CHECK int kaggle_dump_downloads_create(const struct kaggle_dump_downloads_options *options,
                                            struct kaggle_dump_downloads **out, struct error *err);
void kaggle_dump_downloads_free(struct kaggle_dump_downloads *self);

/* Its fetch brings the newest version: nothing is downloaded where that is complete already, unless
 * force_redownload; an interrupted download goes on where it stopped; older versions are removed
 * once the new one is complete, unless somebody reads them.  The dump that it gives is held.
 *
 * Errors: of the client and of download_file; ERR_CORRUPT (no CSV and no archive, three times),
 * ERR_NOT_FOUND (one of the six is not there: half a dump would make half a catalogue). */
struct kaggle_dump_fetcher kaggle_dump_downloads_fetcher(struct kaggle_dump_downloads *self);
