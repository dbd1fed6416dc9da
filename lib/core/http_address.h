#pragma once

/* Which network addresses may a URL from outside lead to?  Pure. */

#include <stdbool.h>

struct sockaddr;

/* An address of the public internet: not loopback, private, link-local (cloud metadata), carrier,
 * multicast, documentation or reserved; IPv4 within IPv6 (mapped, NAT64) is judged as IPv4, and
 * 6to4 and Teredo, which would hide one, are refused. Source: IANA special-purpose address
 * registries, RFC 6890, RFC 6052. */
bool http_address_is_public(const struct sockaddr *address);
