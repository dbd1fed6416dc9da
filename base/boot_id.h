#pragma once

/* The kernel's name of this boot: what was written down under another one belongs to processes that
 * are gone, and monotonic times from then mean nothing. */

#define BOOT_ID_BYTES 37 /* with the NUL */

/* "unknown" where the kernel does not tell. */
void boot_id_read(char text[BOOT_ID_BYTES]);
