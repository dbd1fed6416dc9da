#pragma once

/* Words of the sources as terms of public vocabularies.  What has no exact counterpart has none:
 * nothing is guessed.  Pure, any thread. */

#include <trawl/str.h>

#include "base/buf.h"

/* Append text as an absolute http(s) address that any RDF reader takes: bytes that RFC 3986 does
 * not allow are percent-encoded.  Appends nothing and returns false unless it is one. */
bool export_append_address(struct buf *out, struct str text);

/* Append the address of a licence: "cc-by-4.0" gives https://spdx.org/licenses/CC-BY-4.0, an
 * address itself.  False for names that stand for no single licence ("other", "cc", "gpl"). */
bool export_append_license(struct buf *out, struct str license);

/* The IANA media type of a file format ("csv" gives "text/csv"), or STR_NULL. */
struct str export_media_type(struct str file_format);
