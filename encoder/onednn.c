#include "encoder/onednn.h"

#include "base/library.h"

static struct onednn calls;

const struct onednn *const onednn = &calls;

int
onednn_load(struct error *err)
{
    static const struct library_function functions[] = {
#define ONEDNN_FUNCTION(name) {"dnnl_" #name, offsetof(struct onednn, name)},
        ONEDNN_CALLS(ONEDNN_FUNCTION)
#undef ONEDNN_FUNCTION
            {"omp_get_max_threads", offsetof(struct onednn, omp_get_max_threads)},
        {"omp_set_num_threads", offsetof(struct onednn, omp_set_num_threads)},
    };
    static struct library library = LIBRARY_INIT("libdnnl.so.2", "libdnnl2", functions, &calls);

    return library_load(&library, err);
}
