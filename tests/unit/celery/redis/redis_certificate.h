#pragma once

/* Certificates for a server of the test's own: in dir, ca.pem (its authority), server.pem and
 * server.key (for 127.0.0.1 and localhost), other.pem (an authority that has signed nothing).  Ends
 * the test program where that fails. */
void redis_certificate_write(const char *dir);
