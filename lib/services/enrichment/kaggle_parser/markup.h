#pragma once

/* Text that people typed on Kaggle, made plain: HTML goes, Markdown and everything else stays. */

#include <trawl/str.h>

#include "base/arena.h"

/* The plain form of a description.
 *
 * - Tags of HTML's own names, attributes and all: those that end a line (<p>, <br>, <li> ...)
 * become a line feed, table cells a space, the rest vanish.  "<unk>", "<5 mm", "<https://...>"
 * stay.
 * - The content of <script>, <style> and <iframe> goes with the tag when the closing tag is
 *   there; comments likewise.
 * - Known entities and numeric ones become their character, once: "&amp;lt;" gives "&lt;".
 * - Markdown code spans and blocks in backticks (up to 8 kB) are kept as they are: there HTML is
 * the subject, not the markup.
 * - CR LF becomes LF, other control characters go, white space at line ends goes, and never more
 * than one blank line stands in a row.
 *
 * At most max_bytes, cut at a code point.  The result lives as long as the arena AND text: what
 * needs no change is text itself, trimmed.  An absent text stays absent.  text is UTF-8. Linear
 * time.  *ok turns false on lack of memory. */
struct str kaggle_markup_strip(struct str text, size_t max_bytes, struct arena *arena, bool *ok);

/* The same for a title or a tag: on one line, white space collapsed. */
struct str kaggle_markup_strip_line(struct str text, size_t max_bytes, struct arena *arena,
                                    bool *ok);
