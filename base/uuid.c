/* Random and name-based ids; one formatter for both. */

#include "base/uuid.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/digest.h"

/* "trawl:" and the name are hashed under this namespace, itself a random version 4 id. */
static const unsigned char trawl_namespace[16] = {0x6f, 0x1d, 0x2c, 0x52, 0x9b, 0x0e, 0x4c, 0x4f,
                                                  0xa5, 0x3d, 0x1e, 0x5a, 0x77, 0x40, 0xd2, 0x8b};

static void
format_uuid(unsigned char bytes[16], unsigned version, char text[UUID_TEXT_BYTES])
{
    static const size_t ends[] = {4, 6, 8, 10, 16};
    size_t from = 0;
    size_t n = 0;

    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | version << 4);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
    for (size_t group = 0; group < COUNT_OF(ends); group++) {
        digest_format_hex(bytes + from, ends[group] - from, text + n);
        n += 2 * (ends[group] - from);
        from = ends[group];
        text[n++] = group + 1 < COUNT_OF(ends) ? '-' : '\0';
    }
}

void
uuid_random(char text[UUID_TEXT_BYTES])
{
    unsigned char bytes[16];

    /* 16 bytes never come short once the pool is ready, and getrandom waits for that. */
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        abort();
    format_uuid(bytes, 4, text);
}

int
uuid_from_name(struct str name, char text[UUID_TEXT_BYTES], struct error *err)
{
    char input[1024];
    unsigned char digest[20];
    int rc;

    if (name.len > sizeof(input) - sizeof(trawl_namespace))
        return error_set(err, ERR_TOO_LARGE, "a name of %zu bytes is too long for an id", name.len);
    (void)memcpy(input, trawl_namespace, sizeof(trawl_namespace));
    (void)memcpy(input + sizeof(trawl_namespace), name.ptr, name.len);
    rc = digest_sha1((struct str){input, sizeof(trawl_namespace) + name.len}, digest, err);
    if (rc == 0)
        format_uuid(digest, 5, text);
    return rc;
}

bool
uuid_is_valid(struct str text)
{
    if (text.len != UUID_TEXT_BYTES - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = text.ptr[i];
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

        if (is_dash ? c != '-' : !is_hex)
            return false;
    }
    return true;
}
