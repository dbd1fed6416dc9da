#pragma once

/* Downloads that end as a whole, verified file, or not at all.
 *
 * Bytes gather in PATH.part, the ETag of what they belong to in PATH.part.etag; a later call, in
 * this process or another, continues there as long as the server still has that object.  Only a
 * file that passed its checks gets the name PATH.  PATH.part is locked while it is written. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"
#include "lib/core/http.h"
#include "lib/models/progress.h"

/* What the file must be; absent and 0 are not checked.  Borrowed. */
struct download_check {
    uint64_t n_bytes;  /* its size, and with it the cap of the download */
    struct str sha256; /* hex */
    struct str md5;    /* hex */
};

/* Fetch request's url into path, whose directory exists.
 *
 * request   url, authorization, own headers, pace; 200, 206 and a 304 that it asked for are
 * success. No total_timeout_ms means six hours: the stall timeout ends what does not move check
 * NULL = none.  The MD5 in x-goog-hash is checked whenever the server sends one progress  bytes of
 * the file; may be NULL out       the answer, with the last URL, in the arena; status 304 means:
 * nothing was written
 *
 * A continued file that fails its check is fetched once more from byte 0; one that fails then is
 * removed.  An answer that ends before check's n_bytes is continued.  A full disk keeps PATH.part
 * for the next call. Errors: ERR_CORRUPT (check), ERR_DISK_FULL, ERR_IO, ERR_BUSY (another process
 * is at it), ERR_AUTH (401, 403), ERR_NOT_FOUND (404, 410, or the directory), ERR_CANCELLED, and
 * those of http_fetch.
 */
MUST_CHECK int download_file(struct http_client *http, const struct http_request *request,
                             const char *path, const struct download_check *check,
                             const struct progress *progress, struct arena *arena,
                             struct http_response *out, struct error *err);

/* The same from a local file: copied to PATH.part, checked, renamed. */
MUST_CHECK int download_copy(const char *from, const char *path, const struct download_check *check,
                             const struct progress *progress, struct error *err);

/* Is there a file at path that passes the check? */
bool download_is_whole(const char *path, const struct download_check *check);
