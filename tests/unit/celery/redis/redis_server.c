/* See redis_server.h. */

#include "tests/unit/celery/redis/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <trawl/attributes.h>

#include "base/clock.h"
#include "tests/unit/celery/redis/redis_certificate.h"

#define START_US      (20 * US_PER_S)
#define MAX_ARGUMENTS 64
#define MAX_URLS      64
#define PATH_BYTES    160

struct redis_server {
    char dir[64];
    char socket_path[108];
    char config_path[PATH_BYTES];
    uint16_t port;
    pid_t pid; /* 0: none runs */
    bool is_tls;
    char *arguments[MAX_ARGUMENTS];
    size_t n_arguments;
    char *urls[MAX_URLS];
    size_t n_urls;
    char reply[4096];
};

static _Noreturn void
die(const struct redis_server *server, const char *what)
{
    char line[512];
    char path[PATH_BYTES];
    FILE *log;

    (void)fprintf(stderr, "# redis_server: %s: %s\n", what, strerror(errno));
    (void)snprintf(path, sizeof(path), "%s/log", server->dir);
    log = fopen(path, "re");
    while (log && fgets(line, sizeof(line), log))
        (void)fprintf(stderr, "# %s", line);
    abort();
}

static void
add_argument(struct redis_server *server, const char *text)
{
    assert_true(server->n_arguments + 1 < MAX_ARGUMENTS);
    server->arguments[server->n_arguments] = strdup(text);
    assert_non_null(server->arguments[server->n_arguments]);
    server->n_arguments++;
}

static void add_format(struct redis_server *server, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
add_format(struct redis_server *server, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    add_argument(server, text);
}

/* A port that nobody listens on at this moment. */
static uint16_t
find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static int
open_socket(const struct redis_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->socket_path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* One command and what comes back at once; false: nobody answers. */
static bool
say(struct redis_server *server, const char *command)
{
    int fd = open_socket(server);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    ssize_t n = -1;

    if (fd < 0)
        return false;
    if (dprintf(fd, "%s\r\n", command) > 0 && poll(&poll_fd, 1, 5000) == 1)
        n = read(fd, server->reply, sizeof(server->reply) - 1);
    (void)close(fd);
    server->reply[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool
is_up(struct redis_server *server)
{
    return say(server, "PING") && strncmp(server->reply, "-LOADING", 8) != 0;
}

static _Noreturn void
run_server(const struct redis_server *server, pid_t parent)
{
    char path[PATH_BYTES];
    int log;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)snprintf(path, sizeof(path), "%s/log", server->dir);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)dup2(log, 1);
    (void)dup2(log, 2);
    (void)execvp("redis-server", server->arguments);
    _exit(127);
}

/* False: it ended, as it does where somebody took the port. */
static bool
launch(struct redis_server *server)
{
    int64_t until_us = clock_mono_us(&clock_system) + START_US;
    pid_t parent = getpid();

    server->pid = fork();
    if (server->pid < 0)
        die(server, "cannot fork");
    if (server->pid == 0)
        run_server(server, parent);
    while (!is_up(server)) {
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            return false;
        }
        if (clock_mono_us(&clock_system) > until_us)
            die(server, "redis-server does not answer");
        clock_sleep_us(&clock_system, 2 * US_PER_MS);
    }
    return true;
}

static void
write_config(const struct redis_server *server, const char *text)
{
    FILE *file = fopen(server->config_path, "we");

    assert_non_null(file);
    assert_true(!text || fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
fill_arguments(struct redis_server *server, const struct redis_server_options *options)
{
    add_argument(server, "redis-server");
    add_argument(server, server->config_path);
    if (options->sentinel)
        add_argument(server, "--sentinel");
    add_format(server, "--%s", options->is_tls ? "tls-port" : "port");
    add_format(server, "%u", (unsigned)server->port);
    if (options->is_tls) {
        add_format(server, "--port 0");
        add_format(server, "--tls-cert-file %s/server.pem", server->dir);
        add_format(server, "--tls-key-file %s/server.key", server->dir);
        add_format(server, "--tls-ca-cert-file %s/ca.pem", server->dir);
        add_format(server, "--tls-auth-clients optional");
    }
    add_format(server, "--bind 127.0.0.1");
    add_format(server, "--unixsocket %s", server->socket_path);
    add_format(server, "--dir %s", server->dir);
    if (!options->sentinel) {
        add_argument(server, "--save");
        add_argument(server, "");
        add_format(server, "--appendonly %s", options->is_persistent ? "yes" : "no");
        add_format(server, "--appendfsync always");
    }
    for (size_t i = 0; options->arguments && options->arguments[i]; i++)
        add_argument(server, options->arguments[i]);
    server->arguments[server->n_arguments] = NULL;
}

static void
forget_arguments(struct redis_server *server)
{
    for (size_t i = 0; i < server->n_arguments; i++)
        free(server->arguments[i]);
    server->n_arguments = 0;
}

struct redis_server *
redis_server_start(const struct redis_server_options *options)
{
    static const struct redis_server_options defaults;
    struct redis_server *server;

    if (system("command -v redis-server >/dev/null") != 0) {
        print_message("redis-server is not installed: scripts/setup.sh check installs it\n");
        skip();
    }
    server = calloc(1, sizeof(*server));
    assert_non_null(server);
    options = options ? options : &defaults;
    server->is_tls = options->is_tls;
    (void)snprintf(server->dir, sizeof(server->dir), "/tmp/trawl-redis-XXXXXX");
    if (!mkdtemp(server->dir))
        die(server, "cannot make a directory");
    (void)snprintf(server->socket_path, sizeof(server->socket_path), "%s/redis.sock", server->dir);
    (void)snprintf(server->config_path, PATH_BYTES, "%s/redis.conf", server->dir);
    if (options->is_tls)
        redis_certificate_write(server->dir);
    for (int n_tries = 0; n_tries < 5; n_tries++) {
        server->port = find_port();
        write_config(server, options->sentinel);
        fill_arguments(server, options);
        if (launch(server))
            return server;
        forget_arguments(server);
    }
    die(server, "redis-server does not start");
}

void
redis_server_kill(struct redis_server *server)
{
    if (server->pid == 0)
        return;
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void
redis_server_pause(struct redis_server *server)
{
    int status;

    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(server->pid, &status, WUNTRACED), server->pid);
    assert_true(WIFSTOPPED(status));
}

void
redis_server_resume(struct redis_server *server)
{
    assert_int_equal(kill(server->pid, SIGCONT), 0);
}

void
redis_server_restart(struct redis_server *server)
{
    redis_server_kill(server);
    if (!launch(server))
        die(server, "redis-server does not start again");
}

static int
remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void
redis_server_stop(struct redis_server *server)
{
    if (!server)
        return;
    redis_server_kill(server);
    forget_arguments(server);
    for (size_t i = 0; i < server->n_urls; i++)
        free(server->urls[i]);
    (void)nftw(server->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(server);
}

uint16_t
redis_server_port(const struct redis_server *server)
{
    return server->port;
}

const char *
redis_server_dir(const struct redis_server *server)
{
    return server->dir;
}

static const char *
keep_url(struct redis_server *server, char *url)
{
    assert_non_null(url);
    assert_true(server->n_urls < MAX_URLS);
    server->urls[server->n_urls++] = url;
    return url;
}

const char *
redis_server_url(struct redis_server *server, const char *tail)
{
    char *url = NULL;

    assert_true(asprintf(&url, "%s://127.0.0.1:%u%s", server->is_tls ? "rediss" : "redis",
                         (unsigned)server->port, tail) > 0);
    return keep_url(server, url);
}

const char *
redis_server_socket_url(struct redis_server *server, const char *tail)
{
    char *url = NULL;

    assert_true(asprintf(&url, "redis+socket://%s%s", server->socket_path, tail) > 0);
    return keep_url(server, url);
}

const char *
redis_server_say(struct redis_server *server, const char *command)
{
    if (!say(server, command))
        die(server, "redis-server does not answer");
    return server->reply;
}
