/* The words of a command, and what every script is given. */

#include <stdio.h>

#include "celery/broker/redis_internal.h"

void
words_add(struct words *words, struct str word)
{
    if (words->n_items == words->n_room) {
        size_t n_room = words->n_room ? words->n_room * 2 : 32;
        struct str *items = arena_calloc(words->arena, n_room, sizeof(*items));

        if (!items) {
            words->is_failed = true;
            return;
        }
        if (words->n_items > 0)
            (void)memcpy(items, words->items, words->n_items * sizeof(*items));
        words->items = items;
        words->n_room = n_room;
    }
    if (!word.ptr)
        word = STR("");
    words->items[words->n_items++] = word;
}

void
words_printf(struct words *words, const char *fmt, ...)
{
    char text[64];
    struct str copy = {text, 0};
    bool is_copied = true;
    va_list args;

    va_start(args, fmt);
    copy.len = (size_t)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    copy = arena_dup(words->arena, str_slice(copy, 0, sizeof(text) - 1), &is_copied);
    if (!is_copied)
        words->is_failed = true;
    words_add(words, copy);
}

void
words_add_i64(struct words *words, int64_t value)
{
    words_printf(words, "%lld", (long long)value);
}

void
redis_layout_add_keys(const struct redis_layout *layout, struct words *words)
{
    words_add(words, layout->unacked);
    words_add(words, layout->unacked_index);
    words_add(words, layout->own);
    words_add(words, layout->prefix);
}

void
redis_call_add_common(const struct redis_broker *self, struct words *words)
{
    redis_layout_add_keys(&self->layout, words);
    words_add(words, str_from_cstr(self->consumer));
    if (self->options.clock == &clock_system) { /* the server's, which is the same for all */
        words_add(words, STR(""));
        words_add(words, STR(""));
    } else {
        words_add_i64(words, clock_mono_us(self->options.clock));
        words_add_i64(words, clock_now_us(self->options.clock));
    }
    words_add(words, self->layout.separator);
}

void
redis_call_begin(const struct redis_broker *self, struct words *words, enum redis_script_id script)
{
    words_add(words, STR("EVALSHA"));
    words_add(words, str_from_cstr(self->scripts[script].sha1));
    words_add(words, STR("0"));
    redis_call_add_common(self, words);
}

static size_t
find_step(const struct redis_layout *layout, int priority)
{
    size_t step = layout->n_steps - 1;

    while (step > 0 && layout->step_numbers[step] > priority)
        step--;
    return step;
}

int64_t
redis_layout_step(const struct redis_layout *layout, int priority)
{
    return layout->step_numbers[find_step(layout, priority)];
}

int64_t
redis_call_step(const struct redis_broker *self, int priority)
{
    return redis_layout_step(&self->layout, priority);
}

struct str
redis_call_list_key(struct redis_broker *self, struct str queue, int priority)
{
    const struct redis_layout *layout = &self->layout;
    size_t step = find_step(layout, priority);

    return str_from_cstr(arena_printf(&self->round, "%.*s%.*s%.*s%.*s", STR_ARG(layout->prefix),
                                      STR_ARG(queue), STR_ARG(step ? layout->separator : STR("")),
                                      STR_ARG(step ? layout->steps[step] : STR(""))));
}

/* The next name: the consumer's own for people, the handle's for uniqueness, a number that is never
 * given twice. */
void
redis_call_rename(struct redis_broker *self, char out[REDIS_CONSUMER_BYTES])
{
    struct str name = str_slice(self->options.name, 0, 100);

    (void)snprintf(out, REDIS_CONSUMER_BYTES, "%.*s/%s/%llu", STR_ARG(name), self->handle,
                   (unsigned long long)++self->generation);
}
