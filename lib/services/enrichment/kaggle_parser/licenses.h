#pragma once

/* Kaggle's licence names. */

#include <trawl/str.h>

/* The SPDX-like id of a display name ("CC0: Public Domain" gives "CC0-1.0"), ignoring ASCII case
 * and surrounding white space.  A name that is not known, or already is an id, comes back as given.
 * The result is static or borrowed from name.  Pure, any thread. */
struct str kaggle_license_id(struct str name);
