#pragma once

/* The pinned models as data; model_store.h works on it. */

#include "lib/services/ml/model_store.h"

struct model_table {
    const struct model *models; /* the first one's file names are those that any model has */
    size_t n_models;
};

extern const struct model_table model_table_pinned;
