/* The options of the URL's query, as Celery's transport options of the same names. */

#include "base/number.h"
#include "celery/broker/redis_internal.h"

#define VISIBILITY_S   3600
#define MAX_NAME_BYTES ((size_t)200)

/* Those of the connection are known to redis_address_parse, fanout_prefix to remote control
 * (celery/control/mailbox_redis.c), which has the broker's URL. */
static const struct str known_options[] = {
    STR_INIT("fanout_prefix"),     STR_INIT("global_keyprefix"),   STR_INIT("sep"),
    STR_INIT("priority_steps"),    STR_INIT("visibility_timeout"), STR_INIT("unacked_key"),
    STR_INIT("unacked_index_key"), STR_INIT("unacked_mutex_key"),  STR_INIT("queue_order_strategy"),
    STR_INIT("virtual_host"),      STR_INIT("master_name"),        STR_INIT("sentinel_username"),
    STR_INIT("sentinel_password"), STR_INIT("ssl_ca_certs"),       STR_INIT("ssl_certfile"),
    STR_INIT("ssl_keyfile"),       STR_INIT("ssl_cert_reqs"),      STR_INIT("ssl_check_hostname"),
};

static int
check_names(struct str query, struct error *err)
{
    struct str option;

    while (str_split(&query, '&', &option)) {
        struct str name = str_slice(option, 0, str_find_char(option, '='));
        bool is_known = name.len == 0;

        for (size_t i = 0; !is_known && i < COUNT_OF(known_options); i++)
            is_known = str_equal(name, known_options[i]);
        if (!is_known)
            return error_set(err, ERR_CONFIG,
                             "broker URL option '%.*s' is unknown: known are global_keyprefix,"
                             " fanout_prefix, sep, priority_steps, visibility_timeout, unacked_key,"
                             " unacked_index_key, unacked_mutex_key, queue_order_strategy and the"
                             " connection's",
                             STR_ARG(str_slice(name, 0, 40)));
    }
    return 0;
}

static int
read_text(const struct redis_address *address, struct str name, struct str fallback,
          struct arena *arena, struct str *out, struct error *err)
{
    int rc = redis_address_option(address, name, arena, out, err);

    if (rc < 0)
        return rc;
    if (!out->ptr)
        *out = fallback;
    if (out->len > MAX_NAME_BYTES)
        return error_set(err, ERR_CONFIG, "broker URL option '%.*s' has %zu bytes, allowed are %zu",
                         STR_ARG(name), out->len, MAX_NAME_BYTES);
    return 0;
}

/* A key: its option or its usual name, behind the prefix. */
static int
read_key(const struct redis_address *address, struct str name, struct str fallback,
         struct str prefix, struct arena *arena, struct str *out, struct error *err)
{
    struct str key;
    int rc = read_text(address, name, fallback, arena, &key, err);

    if (rc < 0)
        return rc;
    if (key.len == 0)
        return error_set(err, ERR_CONFIG, "broker URL option '%.*s' is empty", STR_ARG(name));
    *out = str_from_cstr(arena_printf(arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(key)));
    return out->ptr ? 0 : error_set(err, ERR_NOMEM, "no memory for the broker's options");
}

/* "0,3,6,9", Python's brackets and spaces allowed. */
static int
read_steps(const struct redis_address *address, struct arena *arena, struct redis_layout *out,
           struct error *err)
{
    struct str text;
    struct str word;
    int rc = read_text(address, STR("priority_steps"), STR("0,3,6,9"), arena, &text, err);

    if (rc < 0)
        return rc;
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = str_slice(text, 1, text.len - 1);
    while (str_split(&text, ',', &word)) {
        int64_t number = -1;
        int64_t last = out->n_steps > 0 ? out->step_numbers[out->n_steps - 1] : -1;
        bool is_number = number_parse_i64(str_trim(word), &number, NULL) == 0;

        if (!is_number || out->n_steps == REDIS_MAX_STEPS || number <= last ||
            number > BROKER_MAX_PRIORITY || (out->n_steps == 0 && number != 0))
            return error_set(err, ERR_CONFIG,
                             "broker URL option 'priority_steps': '%.*s' does not ascend from 0 to"
                             " 9: write it as 0,3,6,9",
                             STR_ARG(word));
        out->steps[out->n_steps] = str_trim(word);
        out->step_numbers[out->n_steps++] = number;
    }
    out->steps_down = STR("");
    for (size_t i = 0; i < out->n_steps; i++) {
        out->steps_down = str_from_cstr(
            arena_printf(arena, "%.*s,%.*s", STR_ARG(out->steps[i]), STR_ARG(out->steps_down)));
        if (!out->steps_down.ptr)
            return error_set(err, ERR_NOMEM, "no memory for the broker's options");
    }
    return 0;
}

static int
read_visibility(const struct redis_address *address, struct arena *arena, struct redis_layout *out,
                struct error *err)
{
    struct str text;
    int rc = redis_address_option(address, STR("visibility_timeout"), arena, &text, err);

    if (rc < 0)
        return rc;
    out->visibility_s = VISIBILITY_S;
    if (text.ptr && (number_parse_i64(text, &out->visibility_s, NULL) < 0 ||
                     out->visibility_s < 1 || out->visibility_s > INT64_C(10000000)))
        return error_set(err, ERR_CONFIG,
                         "broker URL option 'visibility_timeout': '%.*s' is no number of seconds",
                         STR_ARG(text));
    return 0;
}

static int
read_order(const struct redis_address *address, struct arena *arena, struct redis_layout *out,
           struct error *err)
{
    struct str text;
    int rc = read_text(address, STR("queue_order_strategy"), STR("round_robin"), arena, &text, err);

    if (rc < 0)
        return rc;
    out->is_in_turn = str_equal(text, STR("round_robin"));
    if (!out->is_in_turn && !str_equal(text, STR("priority")))
        return error_set(err, ERR_CONFIG,
                         "broker URL option 'queue_order_strategy': '%.*s' is not round_robin or"
                         " priority",
                         STR_ARG(text));
    return 0;
}

static int
read_keys(const struct redis_address *address, struct arena *arena, struct redis_layout *out,
          struct error *err)
{
    struct {
        struct str option;
        struct str usual;
        struct str *key;
    } rows[] = {
        {STR("unacked_key"), STR("unacked"), &out->unacked},
        {STR("unacked_index_key"), STR("unacked_index"), &out->unacked_index},
        {STR("unacked_mutex_key"), STR("unacked_mutex"), &out->unacked_mutex},
    };
    int rc = read_text(address, STR("global_keyprefix"), STR(""), arena, &out->prefix, err);

    if (rc == 0)
        rc = read_text(address, STR("sep"), STR("\x06\x16"), arena, &out->separator, err);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(rows); i++)
        rc = read_key(address, rows[i].option, rows[i].usual, out->prefix, arena, rows[i].key, err);
    if (rc < 0)
        return rc;
    if (out->separator.len == 0)
        return error_set(err, ERR_CONFIG, "broker URL option 'sep' is empty");
    out->own = str_from_cstr(arena_printf(arena, "%.*strawl.", STR_ARG(out->prefix)));
    out->binding = str_from_cstr(arena_printf(arena, "%.*s_kombu.binding", STR_ARG(out->prefix)));
    if (!out->own.ptr || !out->binding.ptr)
        return error_set(err, ERR_NOMEM, "no memory for the broker's options");
    return 0;
}

int
redis_layout_read(const struct redis_address *address, struct arena *arena,
                  struct redis_layout *out, struct error *err)
{
    struct redis_layout layout = {.n_steps = 0};
    int rc = check_names(address->query, err);

    if (rc == 0)
        rc = read_keys(address, arena, &layout, err);
    if (rc == 0)
        rc = read_steps(address, arena, &layout, err);
    if (rc == 0)
        rc = read_visibility(address, arena, &layout, err);
    if (rc == 0)
        rc = read_order(address, arena, &layout, err);
    if (rc == 0)
        *out = layout;
    return rc;
}
