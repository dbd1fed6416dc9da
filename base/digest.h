#pragma once

/* Cryptographic digests, on OpenSSL. */

#include <stddef.h>

#include <trawl/error.h>
#include <trawl/str.h>

#define SHA256_BYTES      32
#define SHA256_TEXT_BYTES 65 /* lower-case hex with the NUL */
#define MD5_TEXT_BYTES    33

/* Lower-case hex of n_bytes bytes; text holds 2 * n_bytes + 1. */
void digest_format_hex(const unsigned char *bytes, size_t n_bytes, char *text);

MUST_CHECK int digest_sha256(struct str bytes, unsigned char out[SHA256_BYTES], struct error *err);
MUST_CHECK int digest_sha256_text(struct str bytes, char text[SHA256_TEXT_BYTES],
                                  struct error *err);
MUST_CHECK int digest_sha1(struct str bytes, unsigned char out[20], struct error *err);

/* Streams the file; memory stays at 64 KiB.  Errors: ERR_NOT_FOUND, ERR_IO. */
MUST_CHECK int digest_sha256_file(const char *path, char text[SHA256_TEXT_BYTES],
                                  struct error *err);

/* The same with MD5, for sources that publish nothing better: it finds damage, not malice. */
MUST_CHECK int digest_md5_file(const char *path, char text[MD5_TEXT_BYTES], struct error *err);
