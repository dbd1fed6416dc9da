/* Claims are abstract sockets: the kernel frees the name of a process that dies, however it dies,
 * and there is nothing to clean up.  Processes that do not see each other's sockets live in
 * containers, and have host names of their own. */

#include "celery/control/node_name.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"

static int
expand(struct str pattern, struct str host, struct buf *out, struct error *err)
{
    size_t dot = str_find_char(host, '.');

    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];

        if (c != '%') {
            buf_append_char(out, c);
            continue;
        }
        c = ++i < pattern.len ? pattern.ptr[i] : '\0';
        if (c == 'h')
            buf_append(out, host);
        else if (c == 'n')
            buf_append(out, str_slice(host, 0, dot));
        else if (c == 'd')
            buf_append(out, str_slice(host, dot + 1, host.len));
        else if (c == 'i' || c == 'I')
            buf_append_char(out, '0');
        else if (c == '%')
            buf_append_char(out, '%');
        else
            return error_set(err, ERR_ARGS,
                             "node name '%.*s' has an unknown %%-sign: use %%h (host name), %%n "
                             "(before its first dot), %%d (behind it), %%i or %%%%",
                             STR_ARG(str_slice(pattern, 0, 80)));
    }
    return buf_status(out, err);
}

int
node_name_format(struct str pattern, struct str host, char out[NODE_NAME_BYTES], struct error *err)
{
    CLEANUP(buf_fini) struct buf name = BUF_INIT(4096);
    int rc;

    if (str_find_char(pattern, '@') == pattern.len)
        buf_append(&name, STR("trawl@"));
    rc = expand(pattern, host, &name, err);
    if (rc < 0)
        return rc;
    if (name.len >= 200 || pattern.len == 0)
        return error_set(err, ERR_ARGS, "node name '%.*s' has %zu bytes, allowed are 1 to 199",
                         STR_ARG(str_slice(buf_str(&name), 0, 80)), name.len);
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] <= 0x20 || name.ptr[i] == 0x7F || name.ptr[i] == ',')
            return error_set(err, ERR_ARGS,
                             "a node name has no blanks, commas or control characters: byte %zu is "
                             "0x%02x",
                             i, (unsigned char)name.ptr[i]);
    }
    (void)memcpy(out, buf_cstr(&name), name.len + 1);
    return 0;
}

void
node_name_host(char out[NODE_NAME_BYTES])
{
    if (gethostname(out, NODE_NAME_BYTES - 1) < 0 || !out[0])
        (void)snprintf(out, NODE_NAME_BYTES, "localhost");
    out[NODE_NAME_BYTES - 1] = '\0';
}

int
node_name_claim(struct str name, struct str broker_url, int *out, struct error *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(65536);
    CLEANUP(file_close_fdp) int fd = -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char digest[SHA256_TEXT_BYTES];
    int n;
    int rc;

    buf_printf(&text, "%.*s\n%.*s", STR_ARG(name), STR_ARG(broker_url));
    rc = buf_status(&text, err);
    if (rc == 0)
        rc = digest_sha256_text(buf_str(&text), digest, err);
    if (rc < 0)
        return rc;
    n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "trawl-node-%.40s", digest);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, "cannot claim node name '%.*s'", STR_ARG(name));
    if (bind(fd, (const struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0) {
        if (errno == EADDRINUSE)
            return error_set(err, ERR_BUSY, "another worker on this host is named '%.*s'",
                             STR_ARG(name));
        return error_set_errno(err, "cannot claim node name '%.*s'", STR_ARG(name));
    }
    *out = fd;
    fd = -1;
    return 0;
}
