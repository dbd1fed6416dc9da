#pragma once

/* What a static score is made of, and the score: plain records. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/str.h>

/* Counters that are compared with those of other rows. */
enum score_counter { SCORE_DOWNLOADS, SCORE_LIKES, SCORE_VIEWS, SCORE_USES, SCORE_N_COUNTERS };

/* By the date of creation at the source: counters grow with age, so like is compared with like. */
enum score_age {
    SCORE_AGE_QUARTER, /* up to 90 days */
    SCORE_AGE_YEAR,
    SCORE_AGE_THREE_YEARS,
    SCORE_AGE_OLDER,
    SCORE_AGE_UNKNOWN, /* the source did not tell when */
    SCORE_N_AGES,
};

/* Of one dataset; texts are borrowed. */
struct score_inputs {
    int64_t row_id;
    struct str source_name;
    struct str external_id;
    struct str title;
    struct str license;
    struct str link_state;              /* absent = unchecked */
    int64_t counters[SCORE_N_COUNTERS]; /* DATASET_UNKNOWN where the source tells none */
    int64_t created_at_us;              /* at the source, DATASET_UNKNOWN as above */
    int64_t updated_at_us;
    int64_t n_description_chars; /* 0 without one */
    bool has_tags;
    bool has_formats;
    bool has_extent; /* bytes or rows */
    bool has_columns;
    bool has_reference; /* a paper or a DOI */
};

/* A score and its parts, each 0 to 1. */
struct static_score {
    double value;
    double popularity;
    double quality;
    double freshness;
    double gate;
    int64_t formula; /* version; 0 = never scored */
    int64_t computed_at_us;
};

/* A point of a percentile table: the share of rows with at most that value. */
struct score_knot {
    int64_t value;
    double share;
};
