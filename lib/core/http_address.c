/* A table of prefixes that are not the public internet. */

#include "lib/core/http_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <trawl/attributes.h>

struct prefix4 {
    unsigned char bytes[4];
    unsigned n_bits;
};

struct prefix6 {
    unsigned char bytes[16];
    unsigned n_bits;
};

static const struct prefix4 special4[] = {
    {{0, 0, 0, 0}, 8},        /* this network */
    {{10, 0, 0, 0}, 8},       /* private */
    {{100, 64, 0, 0}, 10},    /* carrier-grade NAT; metadata of one cloud */
    {{127, 0, 0, 0}, 8},      /* loopback */
    {{168, 63, 129, 16}, 32}, /* metadata of another */
    {{169, 254, 0, 0}, 16},   /* link-local; metadata of most */
    {{172, 16, 0, 0}, 12},    /* private */
    {{192, 0, 0, 0}, 24},     /* protocol assignments */
    {{192, 0, 2, 0}, 24},     /* documentation */
    {{192, 88, 99, 0}, 24},   /* 6to4 relays */
    {{192, 168, 0, 0}, 16},   /* private */
    {{198, 18, 0, 0}, 15},    /* benchmarks */
    {{198, 51, 100, 0}, 24},  /* documentation */
    {{203, 0, 113, 0}, 24},   /* documentation */
    {{224, 0, 0, 0}, 4},      /* multicast */
    {{240, 0, 0, 0}, 4},      /* reserved, broadcast */
};

/* Inside 2000::/3, which alone is handed out. */
static const struct prefix6 special6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocol assignments, Teredo among them */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4 */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};

static const struct prefix6 global6 = {{0x20}, 3};
static const struct prefix6 mapped4 = {{[10] = 0xff, [11] = 0xff}, 96};
static const struct prefix6 nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};

static bool
has_prefix(const unsigned char *address, const unsigned char *prefix, unsigned n_bits)
{
    unsigned n_bytes = n_bits / 8;
    unsigned rest = n_bits % 8;

    if (memcmp(address, prefix, n_bytes) != 0)
        return false;
    return rest == 0 || (address[n_bytes] ^ prefix[n_bytes]) >> (8 - rest) == 0;
}

static bool
is_public4(const unsigned char address[4])
{
    for (size_t i = 0; i < COUNT_OF(special4); i++) {
        if (has_prefix(address, special4[i].bytes, special4[i].n_bits))
            return false;
    }
    return true;
}

static bool
is_public6(const unsigned char address[16])
{
    if (has_prefix(address, mapped4.bytes, mapped4.n_bits) ||
        has_prefix(address, nat64.bytes, nat64.n_bits))
        return is_public4(address + 12);
    if (!has_prefix(address, global6.bytes, global6.n_bits))
        return false;
    for (size_t i = 0; i < COUNT_OF(special6); i++) {
        if (has_prefix(address, special6[i].bytes, special6[i].n_bits))
            return false;
    }
    return true;
}

bool
http_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        (void)memcpy(&in, address, sizeof(in));
        return is_public4((const unsigned char *)&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        (void)memcpy(&in6, address, sizeof(in6));
        return is_public6(in6.sin6_addr.s6_addr);
    }
    return false;
}
