/* Small tables: a cluster has tens of nodes, an election a candidate for each. */

#include "celery/events/gossip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gossip_node {
    char name[EVENT_MAX_NAME_BYTES + 1];
    int64_t heard_us;
    int64_t freq_us;
};

/* All of one election; its arena is the owner of the candidates and their texts. */
struct candidate {
    struct candidate *next;
    int64_t clock;
    struct str full_name;
    struct str topic;
    struct str action;
};

struct gossip_election {
    struct arena arena;
    struct str id;
    struct candidate *first;
    size_t n_candidates;
    size_t n_acks;    /* heard */
    size_t n_unacked; /* candidates that we have not acknowledged */
    int64_t begun_us; /* monotonic */
    bool is_held;     /* we were told to */
    bool is_decided;  /* goes with the next look */
};

void
gossip_init(struct gossip *self, struct str full_name)
{
    *self = (struct gossip){.full_name = full_name};
}

void
gossip_fini(struct gossip *self)
{
    for (size_t i = 0; i < self->n_elections; i++)
        arena_fini(&self->elections[i].arena);
    free(self->elections);
    free(self->nodes);
    gossip_init(self, self->full_name);
}

static struct gossip_node *
find_node(const struct gossip *self, struct str name)
{
    for (size_t i = 0; i < self->n_nodes; i++)
        if (str_equal(str_from_cstr(self->nodes[i].name), name))
            return &self->nodes[i];
    return NULL;
}

static bool
is_alive(const struct gossip_node *node, int64_t mono_us)
{
    return mono_us < node->heard_us + 2 * node->freq_us;
}

/* The place of a node that is gone for long, else a new one; NULL: there is none. */
static struct gossip_node *
make_room(struct gossip *self, int64_t mono_us)
{
    struct gossip_node *nodes;

    for (size_t i = 0; i < self->n_nodes; i++)
        if (!is_alive(&self->nodes[i], mono_us))
            return &self->nodes[i];
    if (self->n_nodes == GOSSIP_MAX_NODES)
        return NULL;
    nodes = reallocarray(self->nodes, self->n_nodes + 1, sizeof(*nodes));
    if (!nodes)
        return NULL;
    self->nodes = nodes;
    return &nodes[self->n_nodes++];
}

bool
gossip_note_node(struct gossip *self, struct str name, int64_t freq_us, int64_t mono_us)
{
    struct gossip_node *node = find_node(self, name);
    bool was_alive = node && is_alive(node, mono_us);

    if (name.len == 0 || name.len > EVENT_MAX_NAME_BYTES)
        return false;
    if (!node)
        node = make_room(self, mono_us);
    if (!node)
        return false;
    (void)snprintf(node->name, sizeof(node->name), "%.*s", STR_ARG(name));
    node->heard_us = mono_us;
    node->freq_us = freq_us > 0 && freq_us < 3600 * US_PER_S ? freq_us : GOSSIP_FREQ_US;
    return was_alive;
}

void
gossip_drop_node(struct gossip *self, struct str name)
{
    struct gossip_node *node = find_node(self, name);

    if (node)
        *node = self->nodes[--self->n_nodes];
}

size_t
gossip_count_alive(const struct gossip *self, int64_t mono_us)
{
    size_t n = 0;

    for (size_t i = 0; i < self->n_nodes; i++)
        n += is_alive(&self->nodes[i], mono_us);
    return n;
}

static struct gossip_election *
find_election(const struct gossip *self, struct str id)
{
    for (size_t i = 0; i < self->n_elections; i++)
        if (str_equal(self->elections[i].id, id) && !self->elections[i].is_decided)
            return &self->elections[i];
    return NULL;
}

static void
drop_election(struct gossip *self, size_t idx)
{
    arena_fini(&self->elections[idx].arena);
    self->elections[idx] = self->elections[--self->n_elections];
}

/* Forget those that are decided, or that nobody finishes. */
static void
sweep(struct gossip *self, int64_t mono_us)
{
    for (size_t i = self->n_elections; i-- > 0;)
        if (self->elections[i].is_decided ||
            mono_us >= self->elections[i].begun_us + GOSSIP_FORGET_US)
            drop_election(self, i);
}

static int
need_election(struct gossip *self, struct str id, int64_t mono_us, struct gossip_election **out,
              struct error *err)
{
    struct gossip_election *election;
    bool is_copied = true;

    if (id.len == 0 || id.len > EVENT_MAX_NAME_BYTES)
        return error_set(err, ERR_INVALID,
                         "the id of an election has %zu bytes, allowed are 1 to "
                         "%zu",
                         id.len, EVENT_MAX_NAME_BYTES);
    sweep(self, mono_us);
    election = find_election(self, id);
    if (!election && self->n_elections == GOSSIP_MAX_ELECTIONS)
        return error_set(err, ERR_BUSY, "%zu elections are held at a time, more are not",
                         GOSSIP_MAX_ELECTIONS);
    if (!election) {
        if (!self->elections)
            self->elections = calloc(GOSSIP_MAX_ELECTIONS, sizeof(*self->elections));
        if (!self->elections)
            return error_set(err, ERR_NOMEM, "no memory for an election");
        election = &self->elections[self->n_elections];
        *election = (struct gossip_election){.arena = ARENA_INIT(4 * GOSSIP_MAX_ACTION),
                                             .begun_us = mono_us};
        election->id = arena_dup(&election->arena, id, &is_copied);
        if (!is_copied)
            return error_set(err, ERR_NOMEM, "no memory for an election");
        self->n_elections++;
    }
    *out = election;
    return 0;
}

int
gossip_begin_election(struct gossip *self, struct str id, int64_t mono_us, struct error *err)
{
    struct gossip_election *election;
    int rc = need_election(self, id, mono_us, &election, err);

    if (rc == 0)
        election->is_held = true;
    return rc;
}

static bool
is_before(const struct candidate *a, const struct candidate *b)
{
    return a->clock != b->clock ? a->clock < b->clock : str_compare(a->full_name, b->full_name) < 0;
}

/* The action is kept of who may win only: the others' is the same anyway, or makes no difference.
 */
static int
insert(struct gossip_election *election, const struct candidate *candidate,
       const struct json *action, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(GOSSIP_MAX_ACTION);
    struct json_writer json = {.out = &text, .style = JSON_STYLE_PYTHON};
    struct candidate *made = arena_calloc(&election->arena, 1, sizeof(*made));
    struct candidate **at = &election->first;
    bool is_copied = made != NULL;
    int rc;

    while (*at && is_before(*at, candidate))
        at = &(*at)->next;
    if (at == &election->first && action)
        json_value(&json, action);
    rc = buf_status(&text, err);
    if (rc < 0)
        return error_wrap(err, rc, "the action of an election");
    if (!made)
        return error_set(err, ERR_NOMEM, "no memory for a candidate");
    made->clock = candidate->clock;
    made->full_name = arena_dup(&election->arena, candidate->full_name, &is_copied);
    made->topic = arena_dup(&election->arena, candidate->topic, &is_copied);
    made->action = arena_dup(&election->arena, buf_str(&text), &is_copied);
    if (!is_copied)
        return error_set(err, ERR_NOMEM, "no memory for a candidate");
    made->next = *at;
    *at = made;
    election->n_candidates++;
    election->n_unacked++;
    return 0;
}

int
gossip_add_candidate(struct gossip *self, const struct event *event, int64_t mono_us,
                     struct error *err)
{
    struct gossip_election *election;
    char full_name[EVENT_MAX_NAME_BYTES + 32];
    struct candidate candidate = {.clock = event->clock,
                                  .topic = json_get_str(event->fields, STR("topic"))};
    int rc = need_election(self, json_get_str(event->fields, STR("id")), mono_us, &election, err);

    if (rc < 0)
        return rc;
    (void)snprintf(full_name, sizeof(full_name), "%.*s.%lld", STR_ARG(event->hostname),
                   (long long)event->pid);
    candidate.full_name = str_from_cstr(full_name);
    for (const struct candidate *other = election->first; other; other = other->next)
        if (str_equal(other->full_name, candidate.full_name))
            return 0;
    return insert(election, &candidate, json_get(event->fields, STR("action")), err);
}

void
gossip_count_ack(struct gossip *self, struct str id)
{
    struct gossip_election *election = find_election(self, id);

    if (election)
        election->n_acks++;
}

/* Where nobody else is known to live, it is not known yet. */
static bool
is_complete(const struct gossip_election *election, size_t n_alive)
{
    return n_alive > 0 && election->n_candidates > n_alive;
}

size_t
gossip_take_acks(struct gossip *self, int64_t mono_us, struct str *id)
{
    size_t n_alive = gossip_count_alive(self, mono_us);

    for (size_t i = 0; i < self->n_elections; i++) {
        struct gossip_election *election = &self->elections[i];
        size_t n = election->n_unacked;

        if (n == 0 ||
            (!is_complete(election, n_alive) && mono_us < election->begun_us + GOSSIP_ACK_US))
            continue;
        election->n_unacked = 0;
        election->n_acks += n;
        *id = election->id;
        return n;
    }
    return 0;
}

bool
gossip_next_result(struct gossip *self, int64_t mono_us, struct gossip_result *out)
{
    size_t n_alive = gossip_count_alive(self, mono_us);

    sweep(self, mono_us);
    for (size_t i = 0; i < self->n_elections; i++) {
        struct gossip_election *election = &self->elections[i];
        bool is_counted = election->n_acks >= n_alive && is_complete(election, n_alive);

        if (election->is_decided || !election->is_held || !election->first ||
            (!is_counted && mono_us < election->begun_us + GOSSIP_ELECTION_US))
            continue;
        election->is_decided = true;
        *out = (struct gossip_result){
            .id = election->id,
            .leader = election->first->full_name,
            .is_ours = str_equal(election->first->full_name, self->full_name),
            .topic = election->first->topic,
            .action = election->first->action,
        };
        return true;
    }
    return false;
}

int64_t
gossip_due_us(const struct gossip *self)
{
    int64_t due_us = INT64_MAX;

    for (size_t i = 0; i < self->n_elections; i++) {
        const struct gossip_election *election = &self->elections[i];

        if (election->n_unacked > 0 && election->begun_us + GOSSIP_ACK_US < due_us)
            due_us = election->begun_us + GOSSIP_ACK_US;
        if (election->is_held && election->first && !election->is_decided &&
            election->begun_us + GOSSIP_ELECTION_US < due_us)
            due_us = election->begun_us + GOSSIP_ELECTION_US;
    }
    return due_us;
}
