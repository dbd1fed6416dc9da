#pragma once

/* Licences by their names, as the sources write them ("cc-by-4.0", "CC0: Public Domain").  Pure. */

#include <stdbool.h>

#include <trawl/str.h>

/* It says something: not absent, "unknown", "other" or the like. */
bool license_is_known(struct str license);

/* It lets anyone use, change and share for any purpose: no "non-commercial", no "no derivatives".
 * Source: opendefinition.org/licenses, and the licences approved by the Open Source Initiative. */
bool license_is_open(struct str license);
