/* Patterns of node names.
 *
 * Shell globs are fnmatch's.  Python's regular expressions are read by POSIX's engine, which is
 * safe with what is let through: alternatives, groups, classes, stars and anchors.  Counted
 * repetition and back-references make it take unbounded memory or time, so they are refused, as is
 * what only Python's engine knows; the node then answers with an error instead of guessing. */

#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>

#include "celery/control/request.h"

static int
refuse(const struct control_request *request, const char *what, struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "pattern '%.*s': %s; use a glob, or name the nodes as destination",
                     STR_ARG(str_slice(request->pattern, 0, 80)), what);
}

/* Copy a class, "[" to "]".  What both engines read alike is let through: to POSIX a backslash in
 * it is a letter, and "[" may begin a class of its own.  Gives where it ends; 0: not supported. */
static size_t
copy_class(struct str pattern, size_t at, struct buf *out)
{
    size_t first = at + (str_starts_with(str_slice(pattern, at, pattern.len), STR("[^")) ? 2 : 1);
    size_t end = first;

    while (end < pattern.len && pattern.ptr[end] != ']') {
        if (pattern.ptr[end] == '\\' || pattern.ptr[end] == '[')
            return 0;
        end++;
    }
    if (end == first || end == pattern.len) /* "[]" begins with a "]" that is meant */
        return 0;
    buf_append(out, str_slice(pattern, at, end + 1));
    return end + 1;
}

/* Python's expression as an extended POSIX one, anchored at the start as re.match is. */
static int
translate(const struct control_request *request, struct buf *out, struct error *err)
{
    struct str pattern = request->pattern;

    buf_append(out, STR("^("));
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        char next = i + 1 < pattern.len ? pattern.ptr[i + 1] : '\0';

        if (c == '[') {
            size_t end = copy_class(pattern, i, out);

            if (end == 0)
                return refuse(request, "a class has no '\\' and no '[' or ']' in it", err);
            i = end - 1;
            continue;
        }

        if (c == '{')
            return refuse(request, "counted repetition is not supported", err);
        if (c == '(' && next == '?')
            return refuse(request, "'(?' groups are not supported", err);
        if (c == '\\' && next == 'd') {
            buf_append(out, STR("[0-9]"));
            i++;
            continue;
        }
        if (c == '\\' && (next == '\0' || !strchr(".\\+*?()|[]^$-@_wWsSbB", next)))
            return refuse(request, "one of its escapes is not supported", err);
        buf_append_char(out, c);
        if (c == '\\') {
            buf_append_char(out, next);
            i++;
        }
    }
    buf_append(out, STR(")"));
    return buf_status(out, err);
}

static int
match_expression(const struct control_request *request, const char *node, bool *out,
                 struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(8 * CONTROL_PATTERN_BYTES);
    regex_t expression;
    int rc = translate(request, &text, err);

    if (rc < 0)
        return rc;
    if (regcomp(&expression, buf_cstr(&text), REG_EXTENDED | REG_NOSUB) != 0)
        return refuse(request, "it is no regular expression", err);
    *out = regexec(&expression, node, 0, NULL, 0) == 0;
    regfree(&expression);
    return 0;
}

static int
match_pattern(const struct control_request *request, struct str node, bool *out, struct error *err)
{
    char pattern[CONTROL_PATTERN_BYTES + 1];
    char name[MAILBOX_MAX_NAME_BYTES + 1];

    (void)snprintf(pattern, sizeof(pattern), "%.*s", STR_ARG(request->pattern));
    (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(node));
    if (str_equal(request->matcher, STR("glob"))) {
        *out = fnmatch(pattern, name, FNM_NOESCAPE) == 0;
        return 0;
    }
    if (str_equal(request->matcher, STR("pcre")))
        return match_expression(request, name, out, err);
    return error_set(err, ERR_UNSUPPORTED, "matcher '%.*s' is unknown: use glob or pcre",
                     STR_ARG(str_slice(request->matcher, 0, 64)));
}

int
control_request_match(const struct control_request *request, struct str node, bool *out,
                      struct error *err)
{
    *out = true;
    if (request->recipients) {
        *out = false;
        for (size_t i = 0; i < request->recipients->array.n_items; i++)
            *out |= str_equal(request->recipients->array.items[i].text, node);
        return 0;
    }
    if (!request->pattern.len || !request->matcher.len)
        return 0;
    return match_pattern(request, node, out, err);
}
