/* The tasks of plug-ins, before a command looks for one. */

#include <limits.h>
#include <stdlib.h>

#include "celery/plugin.h"
#include "cli/cli.h"

/* The rest has nothing to do with what a task is called. */
static const char *const commands[] = {"beat", "call", "config", "run", "worker", NULL};

static bool
has_tasks(const struct cli_command *command)
{
    for (const char *const *name = commands; *name; name++) {
        if (strcmp(command->name, *name) == 0)
            return true;
    }
    return false;
}

/* "--config FILE" or "--config=FILE", the last one. */
static const char *
find_word(int argc, char **argv, struct str option)
{
    const char *value = NULL;

    for (int i = 1; i < argc; i++) {
        struct str word = str_from_cstr(argv[i]);

        if (str_equal(word, STR("--")))
            break;
        if (str_equal(word, option) && i + 1 < argc)
            value = argv[++i];
        else if (str_starts_with(word, option) && word.ptr[option.len] == '=')
            value = argv[i] + option.len + 1;
    }
    return value;
}

static bool
asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

/* Absolute: a bare name would be looked for in the directories of libraries. */
static int
list_paths(const struct config *config, struct arena *arena, struct str paths[PLUGINS_MAX],
           size_t *n_paths, struct error *err)
{
    struct str rest = config_get(config, CONFIG_INCLUDE);
    struct str path;

    while (config_next_include(&rest, &path)) {
        char *text = arena_printf(arena, "%.*s", STR_ARG(path));
        char *real = text ? realpath(text, NULL) : NULL;

        if (*n_paths == PLUGINS_MAX)
            return error_set(err, ERR_CONFIG, "include names more than %zu plug-ins", PLUGINS_MAX);
        if (!real)
            return error_set(err, ERR_CONFIG, "plug-in '%.*s' (from %.*s): there is no such file",
                             STR_ARG(path), STR_ARG(config_origin(config, CONFIG_INCLUDE)));
        text = arena_printf(arena, "%s", real);
        free(real);
        if (!text)
            return error_set(err, ERR_NOMEM, "no memory for paths");
        paths[(*n_paths)++] = str_from_cstr(text);
    }
    return 0;
}

static int
load_set(struct cli *cli, const struct config *config, struct error *err)
{
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(PLUGINS_MAX * PATH_MAX * 2);
    struct str paths[PLUGINS_MAX];
    size_t n_paths = 0;
    int rc = list_paths(config, &arena, paths, &n_paths, err);

    if (rc == 0 && n_paths > 0)
        rc = plugin_set_load(cli->program->registry, paths, n_paths, &cli->plugins, err);
    if (rc < 0 || n_paths == 0)
        return rc;
    cli->own_program = *cli->program;
    cli->own_program.registry = plugin_set_registry(cli->plugins);
    cli->program = &cli->own_program;
    return 0;
}

int
cli_include(struct cli *cli, int argc, char **argv, struct error *err)
{
    CLEANUP(config_freep) struct config *config = NULL;
    const char *data_dir = find_word(argc, argv, STR("--data-dir"));
    struct config_flag flag = {CONFIG_DATA_DIR, str_from_cstr(data_dir)};
    struct config_options options = {
        .yaml_path = find_word(argc, argv, STR("--config")),
        .flags = &flag,
        .n_flags = data_dir != NULL,
    };
    int rc;

    if (!has_tasks(cli->command))
        return 0;
    rc = config_create(&options, &config, err);
    if (rc == 0)
        rc = load_set(cli, config, err);
    return asks_for_help(argc, argv) ? 0 : rc; /* help is there whatever is broken */
}
