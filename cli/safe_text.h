#pragma once

/* Bytes of strangers on a terminal: nothing in them moves the cursor or ends a line. */

#include <stdio.h>

#include <trawl/str.h>

/* Print text; control characters (C1 among them) and bytes that are not UTF-8 as \x1b. */
void cli_print_safe(struct str text, FILE *out);

/* As above for what has lines: each stands on a line of its own behind indent. */
void cli_print_safe_lines(struct str text, const char *indent, FILE *out);
