#pragma once

/* The picture of `trawl top`, as text and as JSON. */

#include "celery/broker/broker.h"
#include "celery/events/monitor.h"
#include "cli/cli.h"

#define TOP_MAX_QUEUES ((size_t)1000)

struct top_queue {
    struct str name;
    struct broker_depth depth;
};

/* What is shown; borrowed, all of it. */
struct top_picture {
    const struct monitor *monitor;
    struct str broker_url; /* without its password */
    int64_t mono_us;       /* the moment, on both clocks */
    int64_t now_us;
    const struct top_queue *queues;
    size_t n_queues;
    const char *trouble; /* with the broker; NULL = none */
};

/* Append it: at most n_rows lines of n_columns characters, 0 = as many as there are; lines end with
 * end_of_line.  Text of strangers is made harmless. */
void top_view_format(const struct cli *cli, const struct top_picture *picture, size_t n_rows,
                     size_t n_columns, const char *end_of_line, struct buf *out);

/* As one object. */
void top_view_write(const struct top_picture *picture, struct json_writer *json);
