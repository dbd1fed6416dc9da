/* See redis_certificate.h. */

#include "tests/unit/celery/redis/redis_certificate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void
insist(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    (void)fprintf(stderr, "# cannot make a certificate: %s\n", what);
    abort();
}

static FILE *
open_file(const char *dir, const char *name)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "we");
    insist(file != NULL, path);
    return file;
}

static void
write_certificate(const char *dir, const char *name, X509 *certificate)
{
    FILE *file = open_file(dir, name);

    insist(PEM_write_X509(file, certificate) == 1, name);
    insist(fclose(file) == 0, name);
}

static void
write_key(const char *dir, const char *name, EVP_PKEY *key)
{
    FILE *file = open_file(dir, name);

    insist(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1, name);
    insist(fclose(file) == 0, name);
}

static void
add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    insist(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: signs itself. */
static X509 *
make_certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *certificate = X509_new();

    insist(certificate != NULL, name);
    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate));
    (void)X509_set_pubkey(certificate, key);
    if (issuer)
        add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    else
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    insist(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, name);
    return certificate;
}

void
redis_certificate_write(const char *dir)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *other_key = EVP_EC_gen("P-256");
    EVP_PKEY *server_key = EVP_EC_gen("P-256");
    X509 *ca;
    X509 *other;
    X509 *server;

    insist(ca_key && other_key && server_key, "keys");
    ca = make_certificate("test authority", ca_key, NULL, ca_key);
    other = make_certificate("other authority", other_key, NULL, other_key);
    server = make_certificate("test server", server_key, ca, ca_key);
    write_certificate(dir, "ca.pem", ca);
    write_certificate(dir, "other.pem", other);
    write_certificate(dir, "server.pem", server);
    write_key(dir, "server.key", server_key);
    X509_free(ca);
    X509_free(other);
    X509_free(server);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(server_key);
}
