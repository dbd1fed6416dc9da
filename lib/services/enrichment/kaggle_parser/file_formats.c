/* Extensions and column names, without repeats. */

#include "lib/services/enrichment/kaggle_parser/file_formats.h"

#include "lib/models/dataset.h"
#include "lib/services/enrichment/kaggle_parser/markup.h"
#include "lib/services/enrichment/kaggle_parser/name_list.h"

#define EXTENSION_BYTES ((size_t)16)
#define MAX_FORMATS     ((size_t)64)
#define COLUMN_BYTES    ((size_t)200)

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters, digits and '_', and at least one letter: "v1.0" has no extension. */
static bool
is_extension(struct str text)
{
    bool has_letter = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = lower(text.ptr[i]);

        has_letter |= c >= 'a' && c <= 'z';
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return has_letter && text.len <= EXTENSION_BYTES;
}

static bool
is_packing(struct str extension)
{
    static const struct str packings[] = {STR_INIT("zip"), STR_INIT("gz"), STR_INIT("bz2"),
                                          STR_INIT("xz"),  STR_INIT("7z"), STR_INIT("zst")};

    for (size_t i = 0; i < COUNT_OF(packings); i++) {
        if (str_equal_ignore_case(extension, packings[i]))
            return true;
    }
    return false;
}

/* Cut the last extension off *name; absent when there is none. */
static struct str
take_extension(struct str *name)
{
    size_t dot = str_find_last(*name, STR("."));
    struct str extension = str_slice(*name, dot + 1, name->len);

    if (dot >= name->len || !is_extension(extension))
        return STR_NULL;
    *name = str_slice(*name, 0, dot);
    return extension;
}

static struct str
format_of(const struct kaggle_api_file *file)
{
    struct str type = str_trim(file->file_type);
    struct str name = str_trim(file->name);
    struct str extension = take_extension(&name);
    struct str inner = extension;

    if (type.len && type.ptr[0] == '.')
        type = str_slice(type, 1, type.len);
    if (is_extension(type) && !is_packing(type))
        return type;
    if (is_packing(extension))
        inner = take_extension(&name);
    if (inner.len)
        return inner;
    return extension.len ? extension : is_extension(type) ? type : STR_NULL;
}

static struct str
dup_lower(struct arena *arena, struct str text, bool *ok)
{
    char *copy = arena_alloc(arena, text.len);

    if (!copy)
        *ok = false;
    for (size_t i = 0; copy && i < text.len; i++)
        copy[i] = lower(text.ptr[i]);
    return (struct str){copy, copy ? text.len : 0};
}

int
kaggle_files_find_formats(const struct kaggle_api_file *files, size_t n_files, struct arena *arena,
                          struct str_list *out, struct error *err)
{
    struct name_list formats = NAME_LIST_INIT(arena, MAX_FORMATS);
    bool ok = true;

    for (size_t i = 0; i < n_files; i++)
        name_list_add(&formats, dup_lower(arena, format_of(&files[i]), &ok), &ok);
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for file formats");
    *out = name_list_view(&formats);
    return 0;
}

int
kaggle_files_find_columns(const struct kaggle_api_file *files, size_t n_files, struct arena *arena,
                          struct str_list *out, struct error *err)
{
    struct name_list columns = NAME_LIST_INIT(arena, DATASET_LIST_ITEMS);
    bool ok = true;

    for (size_t i = 0; i < n_files; i++) {
        struct str_list names = files[i].columns;

        for (size_t k = 0; k < names.n_items && columns.n_items < columns.max_items; k++)
            name_list_add(&columns,
                          kaggle_markup_strip_line(names.items[k], COLUMN_BYTES, arena, &ok), &ok);
    }
    if (!ok)
        return error_set(err, ERR_NOMEM, "no memory for column names");
    *out = name_list_view(&columns);
    return 0;
}
