#pragma once

/* Names of nodes: "trawl@host", as Celery writes them.  They are compared byte by byte everywhere,
 * and two nodes of one name answer as one, so a name is to be unique among all nodes of a broker.
 */

#include <trawl/error.h>
#include <trawl/str.h>

#define NODE_NAME_BYTES 256 /* with the NUL */

/* The name that a pattern stands for: %h is the host's name, %n what stands before its first dot,
 * %d what stands behind, %i and %I the number of a process in a pool (0 here), %% a percent sign.
 * Without an '@', it is the host part after "trawl@".
 * Errors: ERR_ARGS (an unknown %x, too long, empty, control characters). */
MUST_CHECK int node_name_format(struct str pattern, struct str host, char out[NODE_NAME_BYTES],
                                struct error *err);

/* Of this machine. */
void node_name_host(char out[NODE_NAME_BYTES]);

/* Claim a name among the processes of this host that use the same broker, for as long as the
 * descriptor *out is open anywhere.  Errors: ERR_BUSY (taken), or of the system. */
MUST_CHECK int node_name_claim(struct str name, struct str broker_url, int *out, struct error *err);
