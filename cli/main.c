/* The list of commands, the global options, and what every command does first and last. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "celery/plugin.h"
#include "cli/cli.h"
#include "cli/interrupt.h"

/* What the global options fill. */
struct global_options {
    bool help;
    bool json;
    bool quiet;
    bool verbose;
    struct str config_path;
    struct str data_dir;
    struct str database_url;
    struct str log_level;
    struct str log_format;
    struct str precision;
};

#define N_GLOBAL_OPTIONS 11

static void
list_global_options(struct global_options *values, struct cli_option out[N_GLOBAL_OPTIONS])
{
    const struct cli_option options[N_GLOBAL_OPTIONS] = {
        CLI_OPTION_FLAG("json", &values->json, "machine-readable output"),
        CLI_OPTION_FLAG("quiet", &values->quiet, "no progress bar, only warnings and errors"),
        CLI_OPTION_FLAG("verbose", &values->verbose, "tell what happens inside"),
        CLI_OPTION_TEXT("config", "FILE", &values->config_path, "settings file (trawl.yaml)"),
        CLI_OPTION_TEXT("data-dir", "DIR", &values->data_dir, "where everything is kept"),
        CLI_OPTION_TEXT("database", "URL", &values->database_url, "the catalogue's database"),
        CLI_OPTION_TEXT("precision", "NAME", &values->precision,
                        "of the embedding: auto, f32, bf16 or int8"),
        CLI_OPTION_TEXT("log-level", "LEVEL", &values->log_level,
                        "debug, info, warning, error or nothing"),
        CLI_OPTION_TEXT("log-format", "FORMAT", &values->log_format, "text or json"),
        CLI_OPTION_FLAG("help", &values->help, "this text"),
        CLI_OPTIONS_END,
    };

    (void)memcpy(out, options, sizeof(options));
}

static void
print_command_help(const struct cli_command *command, const struct cli_option *options,
                   const struct cli_option *globals)
{
    (void)printf("Usage: trawl %s %s\n\n%s\n", command->name, command->arguments, command->details);
    if (options && options->name) {
        (void)printf("\nOptions:\n");
        cli_options_print(options, stdout);
    }
    (void)printf("\nGlobal options:\n");
    cli_options_print(globals, stdout);
}

static int
load_config(struct cli *cli, const struct global_options *values, struct error *err)
{
    struct config_flag flags[5];
    struct config_options options = {.flags = flags, .yaml_path = values->config_path.ptr};
    const struct {
        enum config_key key;
        struct str value;
    } given[] = {
        {CONFIG_DATA_DIR, values->data_dir},
        {CONFIG_DATABASE_URL, values->database_url},
        {CONFIG_LOG_LEVEL, values->log_level},
        {CONFIG_LOG_FORMAT, values->log_format},
        {CONFIG_EMBEDDING_PRECISION, values->precision},
    };

    for (size_t i = 0; i < COUNT_OF(given); i++) {
        if (given[i].value.ptr)
            flags[options.n_flags++] = (struct config_flag){given[i].key, given[i].value};
    }
    return config_create(&options, &cli->config, err);
}

static int
set_up_log(const struct cli *cli, const struct global_options *values, struct error *err)
{
    enum log_level level;
    enum log_format format;
    int rc = log_parse_level(config_get(cli->config, CONFIG_LOG_LEVEL), &level, err);

    if (rc == 0)
        rc = log_parse_format(config_get(cli->config, CONFIG_LOG_FORMAT), &format, err);
    if (rc < 0) {
        if (err)
            err->code = ERR_CONFIG;
        return -ERR_CONFIG;
    }
    if (values->verbose)
        level = LOG_DEBUG;
    else if (cli->quiet && level < LOG_WARNING)
        level = LOG_WARNING;
    log_configure(STDERR_FILENO, level, format);
    return 0;
}

int
cli_parse(struct cli *cli, const struct cli_option *options, int argc, char **argv,
          struct cli_words *words, struct error *err)
{
    struct global_options values = {0};
    struct cli_option globals[N_GLOBAL_OPTIONS];
    int rc;

    list_global_options(&values, globals);
    rc = cli_options_parse(options, globals, argc, argv, words, err);
    if (rc < 0 && !values.help)
        return error_wrap(err, rc, "trawl %s", cli->command->name);
    if (values.help) {
        print_command_help(cli->command, options, globals);
        return CLI_HELP_SHOWN;
    }
    cli->json = values.json;
    cli->quiet = values.quiet;
    cli->has_color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"); /* NOLINT: one thread */
    cli->has_progress = isatty(STDERR_FILENO) && !values.quiet;
    rc = load_config(cli, &values, err);
    if (rc == 0)
        rc = set_up_log(cli, &values, err);
    if (rc == 0)
        rc = container_create(cli->config, interrupt_is_pending, NULL, &cli->app, err);
    return rc;
}

int
cli_expect_words(const struct cli *cli, const struct cli_words *words, size_t min, size_t max,
                 struct error *err)
{
    if (words->n_items >= min && words->n_items <= max)
        return 0;
    if (words->n_items > max)
        return error_set(err, ERR_ARGS, "'%.*s' is one word too many; usage: trawl %s %s",
                         STR_ARG(str_slice(words->items[max], 0, 64)), cli->command->name,
                         cli->command->arguments);
    return error_set(err, ERR_ARGS, "something is missing; usage: trawl %s %s", cli->command->name,
                     cli->command->arguments);
}

static void
print_overview(FILE *out)
{
    (void)fprintf(out,
                  "trawl %s: a searchable catalogue of public datasets that keeps itself "
                  "fresh\n\nUsage: trawl COMMAND [options]\n\nCommands:\n",
                  TRAWL_VERSION);
    for (const struct cli_command *command = cli_commands; command->name; command++)
        (void)fprintf(out, "  %-10s %s\n", command->name, command->summary);
    (void)fprintf(out, "\n'trawl COMMAND --help' explains one, with an example.  First steps:\n\n"
                       "  trawl model pull\n"
                       "  trawl run enrich.fetch_hf_datasets --limit 2000 --days-back 0\n"
                       "  trawl run enrich.generate_embeddings --drain\n"
                       "  trawl search \"air quality in European cities\"\n");
}

static const struct cli_command *
find_command(const struct cli_program *program, struct str name, struct error *err)
{
    const struct cli_command *const tables[] = {cli_commands, program->more};
    const char *nearest = NULL;
    size_t best = 3;

    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct cli_command *command = tables[i]; command && command->name; command++) {
            size_t distance = str_distance(name, str_from_cstr(command->name));

            if (distance == 0)
                return command;
            if (distance < best) {
                best = distance;
                nearest = command->name;
            }
        }
    }
    if (nearest)
        (void)error_set(err, ERR_ARGS, "unknown command '%.*s': did you mean '%s'?", STR_ARG(name),
                        nearest);
    else
        (void)error_set(err, ERR_ARGS, "unknown command '%.*s' ('trawl --help' lists all)",
                        STR_ARG(name));
    return NULL;
}

/* What a command has printed without looking may be on its way still. */
static int
check_output(int rc, struct error *err)
{
    if (rc >= 0 && fflush(stdout) == EOF)
        return error_set_errno(err, "cannot write to standard output");
    if (rc >= 0 && ferror(stdout)) /* of an earlier flush, whose errno has gone */
        return error_set(err, ERR_IO, "cannot write to standard output");
    return rc;
}

static int
finish(int rc, const struct error *err)
{
    if (rc < 0) {
        char message[sizeof(err->message) * 2];

        (void)log_sanitize(str_from_cstr(err->message), message, sizeof(message));
        (void)fprintf(stderr, "trawl: %s\n", message);
        return rc == -ERR_CANCELLED ? 130 : (int)error_exit_status(rc);
    }
    return rc == CLI_PARTIAL ? EXIT_STATUS_PARTIAL : EXIT_STATUS_OK;
}

int
cli_main(const struct cli_program *program, int argc, char **argv)
{
    struct error err = {0};
    struct cli cli = {.program = program};
    struct str first = argc > 1 ? str_from_cstr(argv[1]) : STR("--help");
    int rc = -ERR_ARGS;

    if (str_equal(first, STR("--help")) || str_equal(first, STR("-h")) ||
        str_equal(first, STR("help"))) {
        print_overview(argc > 1 ? stdout : stderr);
        return argc > 1 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
    }
    if (str_equal(first, STR("--version"))) {
        (void)printf("trawl %s\n", TRAWL_VERSION);
        return EXIT_STATUS_OK;
    }
    interrupt_install();
    cli.command = find_command(program, first, &err);
    if (cli.command)
        rc = cli_include(&cli, argc - 1, argv + 1, &err);
    if (cli.command && rc == 0)
        rc = check_output(cli.command->run(&cli, argc - 1, argv + 1, &err), &err);
    container_free(cli.app);
    plugin_set_free(cli.plugins);
    config_free(cli.config);
    return finish(rc, &err);
}
