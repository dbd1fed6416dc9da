#pragma once

/* The functions of oneDNN that products_dnnl.c calls, and of the OpenMP library that oneDNN runs
 * on, loaded with the first model of a process. */

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include <trawl/error.h>

#define ONEDNN_CALLS(X)                                                                            \
    X(engine_create)                                                                               \
    X(engine_destroy)                                                                              \
    X(get_effective_cpu_isa)                                                                       \
    X(matmul_desc_init)                                                                            \
    X(memory_create)                                                                               \
    X(memory_desc_get_size)                                                                        \
    X(memory_desc_init_by_tag)                                                                     \
    X(memory_destroy)                                                                              \
    X(memory_set_data_handle)                                                                      \
    X(post_ops_append_eltwise)                                                                     \
    X(post_ops_create)                                                                             \
    X(post_ops_destroy)                                                                            \
    X(primitive_attr_create)                                                                       \
    X(primitive_attr_destroy)                                                                      \
    X(primitive_attr_set_post_ops)                                                                 \
    X(primitive_attr_set_scratchpad_mode)                                                          \
    X(primitive_create)                                                                            \
    X(primitive_desc_create)                                                                       \
    X(primitive_desc_destroy)                                                                      \
    X(primitive_desc_query)                                                                        \
    X(primitive_desc_query_md)                                                                     \
    X(primitive_destroy)                                                                           \
    X(primitive_execute)                                                                           \
    X(reorder_primitive_desc_create)                                                               \
    X(status2str)                                                                                  \
    X(stream_create)                                                                               \
    X(stream_destroy)

/* The OpenMP functions are libgomp's: omp.h would bring those of the compiler's own library. */
struct onednn {
#define ONEDNN_MEMBER(name) __typeof__(&dnnl_##name) name;
    ONEDNN_CALLS(ONEDNN_MEMBER)
#undef ONEDNN_MEMBER
    int (*omp_get_max_threads)(void);
    void (*omp_set_num_threads)(int n_threads);
};

/* Filled once onednn_load has returned 0. */
extern const struct onednn *const onednn;

/* Load oneDNN.  Any thread.  Errors: as library_load. */
MUST_CHECK int onednn_load(struct error *err);
