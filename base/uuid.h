#pragma once

/* UUIDs as 36-character lower-case text.  Source: RFC 9562. */

#include <trawl/error.h>
#include <trawl/str.h>

#define UUID_TEXT_BYTES 37 /* with the NUL */

/* Version 4, from the kernel's random source.  Any thread. */
void uuid_random(char text[UUID_TEXT_BYTES]);

/* Version 5 (SHA-1) of a name in Trawl's own namespace: the same name, the same id, everywhere. */
MUST_CHECK int uuid_from_name(struct str name, char text[UUID_TEXT_BYTES], struct error *err);

bool uuid_is_valid(struct str text);
