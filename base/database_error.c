/* From SQLite's result codes to ours, with the way out where there is one. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/database_internal.h"

/* The first row whose code fits decides: extended codes stand before their primary one. */
static const struct {
    int rc; /* SQLite's, extended or primary */
    enum error_code code;
    const char *advice; /* put behind the message */
} mapping[] = {
    {SQLITE_NOMEM, ERR_NOMEM, ""},
    {SQLITE_IOERR_NOMEM, ERR_NOMEM, ""},
    {SQLITE_FULL, ERR_DISK_FULL, "; free space on its file system and try again"},
    {SQLITE_BUSY, ERR_BUSY, "; another process holds it, try again"},
    {SQLITE_LOCKED, ERR_BUSY, ""},
    {SQLITE_PROTOCOL, ERR_BUSY, ""},
    {SQLITE_CORRUPT, ERR_CORRUPT,
     "; stop all of trawl, run `trawl db check`, and recover as docs/database.md says"
     " (sqlite3 .dump or .recover)"},
    {SQLITE_NOTADB, ERR_CORRUPT,
     "; it is no SQLite database or its first page is damaged: check the path, or recover as"
     " docs/database.md says (sqlite3 .recover)"},
    {SQLITE_READONLY, ERR_IO, "; file and directory must be writable"},
    {SQLITE_PERM, ERR_IO, ""},
    {SQLITE_CANTOPEN, ERR_IO, "; its directory must exist and, as WAL asks, be writable"},
    {SQLITE_IOERR, ERR_IO, ""},
    {SQLITE_TOOBIG, ERR_TOO_LARGE, ""},
    {SQLITE_CONSTRAINT, ERR_INVALID, ""},
    {SQLITE_MISMATCH, ERR_INVALID, ""},
    {SQLITE_INTERRUPT, ERR_CANCELLED, ""},
};

static size_t
find_mapping(int rc)
{
    for (size_t i = 0; i < COUNT_OF(mapping); i++)
        if (mapping[i].rc == rc || mapping[i].rc == (rc & 0xFF))
            return i;
    return COUNT_OF(mapping);
}

static bool
is_space_errno(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

/* The errno of a file's last failed operation; 0 where it has none to tell. */
static int
last_errno(sqlite3 *handle, int pointer_op)
{
    sqlite3_file *file = NULL;
    int number = 0;

    if (sqlite3_file_control(handle, "main", pointer_op, &file) != SQLITE_OK || !file ||
        !file->pMethods ||
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number) != SQLITE_OK)
        return 0;
    return number;
}

/* SQLite says "full" for ENOSPC alone, and by the time that it gives up on a transaction errno is
 * another one: the files still know. */
static bool
is_no_space(const struct database *database, int rc)
{
    if ((rc & 0xFF) != SQLITE_IOERR || !database->handle)
        return false;
    return is_space_errno(sqlite3_system_errno(database->handle)) ||
           (rc == SQLITE_IOERR_WRITE &&
            (is_space_errno(last_errno(database->handle, SQLITE_FCNTL_JOURNAL_POINTER)) ||
             is_space_errno(last_errno(database->handle, SQLITE_FCNTL_FILE_POINTER))));
}

/* After a failed sync nobody knows which pages reached the disk, and a second sync would lie. */
static void
note_damage(struct database *database, int rc)
{
    if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC)
        database->is_failed = true;
    else if ((rc & 0xFF) != SQLITE_CORRUPT)
        return;
    if (database->guard.fd >= 0)
        wal_guard_write_marker(&database->guard, WAL_MARKER_DOUBT);
}

int
database_set_error_at(struct database *database, const char *file, int line, struct error *err,
                      int rc, const char *fmt, ...)
{
    size_t row = find_mapping(rc);
    enum error_code code = row < COUNT_OF(mapping) ? mapping[row].code : ERR_IO;
    const char *advice = row < COUNT_OF(mapping) ? mapping[row].advice : "";
    const char *reason = sqlite3_errstr(rc);
    char doing[256];
    va_list args;

    if (is_no_space(database, rc)) {
        code = ERR_DISK_FULL;
        reason = "no space left";
        advice = "; free space on its file system and try again";
    } else if (database->handle && sqlite3_extended_errcode(database->handle) == rc) {
        reason = sqlite3_errmsg(database->handle);
    }
    note_damage(database, rc);
    va_start(args, fmt);
    (void)vsnprintf(doing, sizeof(doing), fmt, args);
    va_end(args);
    return error_set_at(err, file, line, code, "%s: database '%.160s': %.160s%s", doing,
                        database->path, reason, advice);
}
