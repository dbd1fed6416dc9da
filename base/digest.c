/* The only user of OpenSSL's digests. */

#include "base/digest.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "base/file.h"

void
digest_format_hex(const unsigned char *bytes, size_t n_bytes, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n_bytes; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n_bytes] = '\0';
}

static int
digest_once(const EVP_MD *kind, struct str bytes, unsigned char *out, struct error *err)
{
    if (EVP_Digest(bytes.ptr ? bytes.ptr : "", bytes.len, out, NULL, kind, NULL) != 1)
        return error_set(err, ERR_NOMEM, "cannot compute a digest of %zu bytes", bytes.len);
    return 0;
}

int
digest_sha256(struct str bytes, unsigned char out[SHA256_BYTES], struct error *err)
{
    return digest_once(EVP_sha256(), bytes, out, err);
}

int
digest_sha1(struct str bytes, unsigned char out[20], struct error *err)
{
    return digest_once(EVP_sha1(), bytes, out, err);
}

int
digest_sha256_text(struct str bytes, char text[SHA256_TEXT_BYTES], struct error *err)
{
    unsigned char digest[SHA256_BYTES];
    int rc = digest_sha256(bytes, digest, err);

    if (rc == 0)
        digest_format_hex(digest, sizeof(digest), text);
    return rc;
}

static void
context_freep(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static int
digest_file(const EVP_MD *kind, const char *path, char *text, struct error *err)
{
    CLEANUP(file_closep) FILE *file = fopen(path, "re");
    CLEANUP(context_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char block[65536];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_bytes;
    size_t n;

    if (!file)
        return error_set_errno(err, "cannot open '%s'", path);
    if (!context || EVP_DigestInit_ex(context, kind, NULL) != 1)
        return error_set(err, ERR_NOMEM, "cannot start a digest of '%s'", path);
    while ((n = fread(block, 1, sizeof(block), file)) > 0) {
        if (EVP_DigestUpdate(context, block, n) != 1)
            return error_set(err, ERR_NOMEM, "cannot compute the digest of '%s'", path);
    }
    if (ferror(file))
        return error_set_errno(err, "cannot read '%s'", path);
    if (EVP_DigestFinal_ex(context, digest, &n_bytes) != 1)
        return error_set(err, ERR_NOMEM, "cannot compute the digest of '%s'", path);
    digest_format_hex(digest, n_bytes, text);
    return 0;
}

int
digest_sha256_file(const char *path, char text[SHA256_TEXT_BYTES], struct error *err)
{
    return digest_file(EVP_sha256(), path, text, err);
}

int
digest_md5_file(const char *path, char text[MD5_TEXT_BYTES], struct error *err)
{
    return digest_file(EVP_md5(), path, text, err);
}
