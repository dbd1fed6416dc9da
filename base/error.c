/* The error table's columns, and the three ways to fill a struct error. */

#include <trawl/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *exception;
    bool can_retry;
    enum exit_status status;
} error_table[] = {[ERR_NONE] = {"ERR_NONE", "Exception", false, EXIT_STATUS_OK},
#define ERROR_ROW(code, exception, retry, status) [code] = {#code, exception, retry, status},
                   ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
};

static size_t
table_index(int code)
{
    size_t idx = (size_t)(code < 0 ? -code : code);

    return idx < COUNT_OF(error_table) ? idx : ERR_NONE;
}

const char *
error_exception_name(int code)
{
    return error_table[table_index(code)].exception;
}

const char *
error_code_name(int code)
{
    return error_table[table_index(code)].name;
}

bool
error_is_retryable(int code)
{
    return error_table[table_index(code)].can_retry;
}

enum exit_status
error_exit_status(int code)
{
    return error_table[table_index(code)].status;
}

int
error_set_at(struct error *err, const char *file, int line, enum error_code code, const char *fmt,
             ...)
{
    va_list args;

    if (!err)
        return -(int)code;
    *err = (struct error){.code = code, .line = line, .file = file};
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    return -(int)code;
}

static enum error_code
code_of_errno(int number)
{
    switch (number) {
    case ENOMEM:
        return ERR_NOMEM;
    case ENOENT:
        return ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return ERR_DISK_FULL;
    case EAGAIN:
    case EBUSY:
        return ERR_BUSY;
    default:
        return ERR_IO;
    }
}

int
error_set_errno_at(struct error *err, const char *file, int line, const char *fmt, ...)
{
    int number = errno;
    enum error_code code = code_of_errno(number);
    char reason[128];
    size_t used;
    va_list args;

    if (!err)
        return -(int)code;
    *err = (struct error){.code = code, .line = line, .file = file};
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s",
                   strerror_r(number, reason, sizeof(reason)));
    return -(int)code;
}

int
error_wrap(struct error *err, int rc, const char *fmt, ...)
{
    char inner[sizeof(err->message)];
    size_t used;
    va_list args;

    if (!err)
        return rc;
    (void)memcpy(inner, err->message, sizeof(inner));
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner);
    return rc;
}
