#pragma once

/* Text of the Hub as the catalogue wants it.  Pure; input is valid UTF-8, as json_parse gives it.
 */

#include <trawl/error.h>
#include <trawl/str.h>

#include "base/arena.h"

/* Plain paragraphs: white space runs become one space, one line break, or (from two breaks on, as
 * the
 * "\n\t\n\t\t" that the Hub leaves where a heading stood) one empty line; control characters,
 * zero-width spaces and direction overrides go; ends are trimmed.  Cut at max_bytes, at a code
 * point. An absent text stays absent, one of white space becomes empty. Errors: ERR_NOMEM. */
MUST_CHECK int hf_text_clean(struct str text, size_t max_bytes, struct arena *arena,
                             struct str *out, struct error *err);

/* As above, all of it on one line. */
MUST_CHECK int hf_text_clean_line(struct str text, size_t max_bytes, struct arena *arena,
                                  struct str *out, struct error *err);

/* Without "… See the full description on the dataset page: <url>." at its end, which the Hub adds
 * to what it cuts; the same words anywhere else stay.  Borrowed from description. */
struct str hf_text_strip_tail(struct str description);

/* True for nothing but "<id> dataset hosted on Hugging Face and contributed by the HF Datasets
 * community", which stands where no description is. */
bool hf_text_is_placeholder(struct str description);
