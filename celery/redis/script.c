/* What error replies mean, and scripts by their digest. */

#include "celery/redis/redis.h"

#include "base/digest.h"

static const struct {
    struct str word; /* the first of an error reply */
    enum error_code code;
} meanings[] = {
    {STR_INIT("OOM"), ERR_DISK_FULL},
    {STR_INIT("MISCONF"), ERR_DISK_FULL},
    {STR_INIT("READONLY"), ERR_NETWORK},
    {STR_INIT("LOADING"), ERR_NETWORK},
    {STR_INIT("MASTERDOWN"), ERR_NETWORK},
    {STR_INIT("CLUSTERDOWN"), ERR_NETWORK},
    {STR_INIT("TRYAGAIN"), ERR_NETWORK},
    {STR_INIT("NOSCRIPT"), ERR_NETWORK},
    {STR_INIT("UNBLOCKED"), ERR_NETWORK}, /* the server became a replica */
    {STR_INIT("NOREPLICAS"), ERR_NETWORK},
    {STR_INIT("BUSY"), ERR_BUSY}, /* a script of somebody else runs */
    {STR_INIT("NOAUTH"), ERR_AUTH},
    {STR_INIT("WRONGPASS"), ERR_AUTH},
    {STR_INIT("NOPERM"), ERR_AUTH},
    {STR_INIT("WRONGTYPE"), ERR_CONFIG},
};

int
redis_check(const struct redis_value *reply, struct error *err)
{
    struct str word;

    if (reply->kind != REDIS_ERROR)
        return 0;
    word = str_slice(reply->text, 0, str_find_char(reply->text, ' '));
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        if (str_equal(word, meanings[i].word))
            return error_set(err, meanings[i].code, "the Redis server says '%.*s'",
                             STR_ARG(str_slice(reply->text, 0, 200)));
    return error_set(err, ERR_IO, "the Redis server says '%.*s'",
                     STR_ARG(str_slice(reply->text, 0, 200)));
}

int
redis_script_init(struct redis_script *out, const char *text, struct error *err)
{
    unsigned char digest[20];
    int rc = digest_sha1(str_from_cstr(text), digest, err);

    if (rc < 0)
        return rc;
    out->text = text;
    digest_format_hex(digest, sizeof(digest), out->sha1);
    return 0;
}
