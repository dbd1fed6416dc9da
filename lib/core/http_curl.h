#pragma once

/* The functions of libcurl that http.c calls, loaded with the first client of a process. */

#include <curl/curl.h>

#include <trawl/error.h>

#define HTTP_CURL_CALLS(X)                                                                         \
    X(easy_cleanup)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_strerror)                                                                               \
    X(global_cleanup)                                                                              \
    X(global_init)                                                                                 \
    X(multi_add_handle)                                                                            \
    X(multi_cleanup)                                                                               \
    X(multi_info_read)                                                                             \
    X(multi_init)                                                                                  \
    X(multi_perform)                                                                               \
    X(multi_poll)                                                                                  \
    X(multi_remove_handle)                                                                         \
    X(multi_setopt)                                                                                \
    X(multi_strerror)                                                                              \
    X(slist_append)                                                                                \
    X(slist_free_all)

struct http_curl {
#define HTTP_CURL_MEMBER(name) __typeof__(&curl_##name) name;
    HTTP_CURL_CALLS(HTTP_CURL_MEMBER)
#undef HTTP_CURL_MEMBER
};

/* Filled once http_curl_load has returned 0. */
extern const struct http_curl *const curl;

/* Load libcurl.  Any thread.  Errors: as library_load. */
MUST_CHECK int http_curl_load(struct error *err);
