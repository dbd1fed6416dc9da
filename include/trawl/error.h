#pragma once

/* Errors: one table of kinds, and a struct on the caller's stack that tells the story.
 *
 * A fallible function returns 0, or a negative code and fills *err (which may be NULL).  On failure
 * its outputs are untouched.  Branch on the code, never on the text. */

#include <stdbool.h>
#include <stdint.h>

#include <trawl/attributes.h>

/* The exit statuses of the command line; a column of the table below. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_ERROR = 1,
    EXIT_STATUS_USAGE = 2,
    EXIT_STATUS_CONFIG = 3,
    EXIT_STATUS_AUTH = 4,
    EXIT_STATUS_PARTIAL = 5,
    EXIT_STATUS_RATE_LIMITED = 6,
    EXIT_STATUS_DUPLICATE = 7,
};

/* clang-format off */
#define ERROR_CODES(X) \
    /* code            exception on the wire    can a retry help   exit status of a command */ \
    X(ERR_NOMEM,       "MemoryError",           true,              EXIT_STATUS_ERROR)        \
    X(ERR_ARGS,        "TypeError",             false,             EXIT_STATUS_USAGE)        \
    X(ERR_INVALID,     "ValueError",            false,             EXIT_STATUS_ERROR)        \
    X(ERR_NOT_FOUND,   "LookupError",           false,             EXIT_STATUS_ERROR)        \
    X(ERR_UNSUPPORTED, "NotImplementedError",   false,             EXIT_STATUS_ERROR)        \
    X(ERR_TOO_LARGE,   "OverflowError",         false,             EXIT_STATUS_ERROR)        \
    X(ERR_CONFIG,      "ImproperlyConfigured",  false,             EXIT_STATUS_CONFIG)       \
    X(ERR_AUTH,        "PermissionError",       false,             EXIT_STATUS_AUTH)         \
    X(ERR_NETWORK,     "ConnectionError",       true,              EXIT_STATUS_ERROR)        \
    X(ERR_TIMEOUT,     "TimeoutError",          true,              EXIT_STATUS_ERROR)        \
    X(ERR_RATE_LIMIT,  "RateLimited",           true,              EXIT_STATUS_RATE_LIMITED) \
    X(ERR_IO,          "OSError",               false,             EXIT_STATUS_ERROR)        \
    X(ERR_DISK_FULL,   "OSError",               true,              EXIT_STATUS_ERROR)        \
    X(ERR_BUSY,        "BlockingIOError",       true,              EXIT_STATUS_ERROR)        \
    X(ERR_DUPLICATE,   "DuplicateTask",         false,             EXIT_STATUS_DUPLICATE)    \
    X(ERR_CORRUPT,     "DatabaseError",         false,             EXIT_STATUS_ERROR)        \
    X(ERR_CANCELLED,   "KeyboardInterrupt",     false,             EXIT_STATUS_ERROR)        \
    X(ERR_SOFT_LIMIT,  "SoftTimeLimitExceeded", false,             EXIT_STATUS_ERROR)        \
    X(ERR_RETRY,       "Retry",                 true,              EXIT_STATUS_ERROR)
/* clang-format on */

enum error_code {
    ERR_NONE = 0,
#define ERROR_ENUM(code, exception, retry, status) code,
    ERROR_CODES(ERROR_ENUM)
#undef ERROR_ENUM
};

/* Lives on the caller's stack; filled only by failure; owns nothing, so nobody frees it. */
struct error {
    enum error_code code;
    int line;               /* where it was first raised */
    const char *file;       /* static string */
    int64_t retry_after_ms; /* 0, or how long the other side asked us to wait */
    char message[512];      /* UTF-8, NUL-terminated, cut if too long */
};

/* Fill *err (NULL is fine) and return -code, so that failing is one statement. */
#define error_set(err, code, ...) error_set_at((err), __FILE__, __LINE__, (code), __VA_ARGS__)

/* As error_set, the code and the end of the message taken from errno. */
#define error_set_errno(err, ...) error_set_errno_at((err), __FILE__, __LINE__, __VA_ARGS__)

TRAWL_API int error_set_at(struct error *err, const char *file, int line, enum error_code code,
                           const char *fmt, ...) PRINTF_LIKE(5, 6);
TRAWL_API int error_set_errno_at(struct error *err, const char *file, int line, const char *fmt,
                                 ...) PRINTF_LIKE(4, 5);

/* Put what the caller was doing in front of the message: "cannot read 'v.txt': line 7: empty".
 * Returns rc, the negative code that the inner call returned. */
TRAWL_API int error_wrap(struct error *err, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The columns of the table.  code may be negative, as functions return it. */
TRAWL_API const char *error_exception_name(int code);
TRAWL_API const char *error_code_name(int code);
TRAWL_API bool error_is_retryable(int code);
TRAWL_API enum exit_status error_exit_status(int code);

/* Drop a status on purpose; the line above says why. */
static inline void
error_ignore(int rc)
{
    (void)rc;
}
