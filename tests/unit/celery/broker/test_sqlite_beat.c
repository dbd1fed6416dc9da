/* Beat's store on SQLite in the suite that every store passes. */

#include "tests/unit/celery/broker/beat_suite.h"

#include "tests/unit/celery/broker/party.h"

static char dir[64];

static void
set_up(char url[256])
{
    test_dir_make(dir);
    (void)snprintf(url, 256, "sqlite:///%s/broker.db", dir);
}

static void
tear_down(void)
{
    test_dir_remove(dir);
}

static struct party *
open_party(const char *url)
{
    struct party *party = calloc(1, sizeof(*party));
    struct broker_options options;

    assert_non_null(party);
    options = party_options(party, NULL);
    party_open(party, url, &options);
    return party;
}

static int64_t
count(const char *url, const char *queue)
{
    struct party *party = open_party(url);
    int64_t n = party_count(party, queue);

    broker_close(party->broker);
    free(party);
    return n;
}

static void
take(const char *url, const char *queue, char out[64])
{
    struct party *party = open_party(url);

    party_consume(party, queue, 1);
    party_run(party);
    (void)snprintf(out, 64, "%s", party_texts(party));
    (void)party_settle(party, party->received[0].tag, BROKER_ACK);
    party_run(party);
    broker_close(party->broker);
    free(party);
}

int
main(void)
{
    static const struct beat_factory factory = {set_up, tear_down, count, take};

    return beat_suite_run(&factory);
}
