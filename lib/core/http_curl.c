#include "lib/core/http_curl.h"

#include "base/library.h"

static struct http_curl calls;

const struct http_curl *const curl = &calls;

int
http_curl_load(struct error *err)
{
    static const struct library_function functions[] = {
#define HTTP_CURL_FUNCTION(name) {"curl_" #name, offsetof(struct http_curl, name)},
        HTTP_CURL_CALLS(HTTP_CURL_FUNCTION)
#undef HTTP_CURL_FUNCTION
    };
    static struct library library = LIBRARY_INIT("libcurl.so.4", "libcurl4", functions, &calls);

    return library_load(&library, err);
}
