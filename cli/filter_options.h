#pragma once

/* The options that narrow a listing; shared by search and export. */

#include "cli/options.h"
#include "lib/repositories/dataset_repository.h"

struct filter_options {
    struct str source;
    struct str license;
    struct str format;
    struct str tag;
    struct str min_size;
    struct str max_size;
    struct str updated_since;
    bool with_inactive;
};

/* clang-format off */
#define FILTER_OPTIONS_INIT {.with_inactive = false}
/* clang-format on */
#define N_FILTER_OPTIONS 8

/* Write the N_FILTER_OPTIONS rows and the end mark. */
void filter_options_list(struct filter_options *values, struct cli_option *out);

/* Errors: ERR_ARGS, naming the option: sizes are "500MB", "1.5 GB"; dates "2024-05-01" or "30d". */
MUST_CHECK int filter_options_read(const struct filter_options *values, struct dataset_filter *out,
                                   struct error *err);
