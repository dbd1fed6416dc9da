#pragma once

/* CSV, as a stream: RFC 4180, strictly, at the speed of memory.
 *
 * The dialect
 *   - fields are separated by ',', records by LF or CRLF, mixed as they like; a lone CR is text;
 *   - a field that begins with '"' is quoted: it may hold commas, LF, CRLF, and '""' for one quote;
 *     there is no other escape, a backslash is a backslash;
 *   - bare and quoted fields mix freely; a UTF-8 byte order mark at the very front is dropped;
 *   - an empty field means "null", quoted or not (csv_field_form tells the two apart);
 *   - an empty line is no record.  The last record needs no newline.
 *   - the first record is the header, and its number of columns holds for all that follow.
 *
 * What happens to a bad record (each is a row of the table in docs/meta-kaggle.md)
 *   keep    a quote inside a bare field is text ("5\" disk"); the record is marked CSV_REPAIRED
 *   pad     a record with too few columns gets nulls at its end and is marked CSV_PADDED: the
 *           caller knows which columns it cannot do without
 *   reject  all else, see enum csv_defect: told to the callback, counted, and the reader goes on
 *
 * A rejected record never takes its neighbours along.  Wherever quotes or the number of columns are
 * wrong, a stray quote may have swallowed good records, so the reader goes back to the start of the
 * bad one and resumes at the first following line that is a complete record: strictly RFC 4180,
 * with exactly the header's number of columns.  Each byte is looked at a bounded number of times,
 * however hostile the file.
 *
 * How it works: csv_scan.c turns 64 bytes at a time into bit masks of quotes, commas and newlines,
 * a prefix-xor of the quotes tells inside from outside, and what remains are the ends of fields.
 * The masks also show the first quote that stands where none may; from there csv_strict.c, a plain
 * state machine, takes over for one record. */

#include <stdint.h>

#include <trawl/error.h>
#include <trawl/str.h>

/* Where the bytes come from.  read puts 1 to cap bytes into out and their number into *n; 0 is the
 * end.  It may give less than asked for. */
struct csv_input {
    int (*read)(void *context, char *out, size_t cap, size_t *n, struct error *err);
    void *context; /* borrowed */
};

/* An input over bytes in memory; text is borrowed.  At most step bytes a read; 0 is no limit. */
struct csv_memory {
    struct str text;
    size_t at;
    size_t step;
};

struct csv_input csv_input_memory(struct csv_memory *memory);

/* An input over a descriptor, which stays the caller's; EINTR is tried again. */
struct csv_input csv_input_fd(int *fd);

enum csv_defect {
    CSV_TEXT_AFTER_QUOTE, /* "a"b */
    CSV_UNTERMINATED,     /* a quoted field that never ends */
    CSV_BARE_QUOTE,       /* a"b, with CSV_REJECT_BARE_QUOTE */
    CSV_TOO_FEW_COLUMNS,  /* with CSV_REJECT_SHORT */
    CSV_TOO_MANY_COLUMNS, /* more than the header or than max_columns */
    CSV_FIELD_TOO_LONG,
    CSV_RECORD_TOO_LONG,
    CSV_NUL_BYTE,
    CSV_BAD_UTF8,
    CSV_N_DEFECTS,
};

/* A record that was left out. */
struct csv_reject {
    uint64_t record_no; /* as in struct csv_record */
    uint64_t offset;    /* byte where it starts */
    uint64_t line_no;   /* line where it starts, from 1 */
    uint64_t n_bytes;   /* up to where the reader resumed */
    enum csv_defect defect;
};

enum csv_flag {
    CSV_REJECT_BARE_QUOTE = 1 << 0,
    CSV_REJECT_SHORT = 1 << 1, /* instead of padding */
    CSV_KEEP_LONG = 1 << 2,    /* deliver the extra fields instead of rejecting the record */
    CSV_ALLOW_BAD_UTF8 = 1 << 3,
    CSV_ALLOW_NUL = 1 << 4,
};

/* The instruction set of the block scanner.  All give the same results. */
enum csv_kernel {
    CSV_KERNEL_BEST, /* the best that this processor has */
    CSV_KERNEL_PORTABLE,
    CSV_KERNEL_AVX2,
    CSV_KERNEL_AVX512,
    CSV_KERNEL_STRICT, /* no scanner: the state machine alone, the oracle of the tests */
};

struct csv_options {
    size_t max_field_bytes;  /* between its quotes, doubled ones counted twice; 0: 1 MiB */
    size_t max_record_bytes; /* 0: 4 MiB; also the ceiling of the buffer, a little added */
    size_t max_columns;      /* 0: 10,000 */
    size_t n_columns;        /* 0: the first record is the header; else there is none */
    unsigned flags;          /* enum csv_flag */
    enum csv_kernel kernel;
    void (*reject)(void *context, const struct csv_reject *reject); /* may be NULL */
    void *context;                                                  /* for reject; borrowed */
};

enum csv_record_flag {
    CSV_REPAIRED = 1 << 0,
    CSV_PADDED = 1 << 1,
};

/* Valid until the next csv_reader_next.  Read the fields with csv_field. */
struct csv_record {
    struct str *raw;    /* [n_fields] between the quotes, doubled quotes still doubled */
    size_t n_fields;    /* the header's number of columns; more only with CSV_KEEP_LONG */
    uint64_t record_no; /* 0 is the header; delivered and rejected records count from 1 */
    uint64_t offset;    /* byte of the input where it starts */
    unsigned flags;     /* enum csv_record_flag */
};

/* Records but the header; n_records == n_delivered + n_rejected, always. */
struct csv_counts {
    uint64_t n_records;
    uint64_t n_delivered;
    uint64_t n_rejected;
    uint64_t n_repaired; /* of the delivered */
    uint64_t n_padded;   /* of the delivered */
};

enum csv_field_form {
    CSV_FIELD_MISSING, /* the record has no such field, or it was padded */
    CSV_FIELD_BARE,
    CSV_FIELD_QUOTED,
};

struct csv_reader; /* opaque */

/* options are copied; NULL is all defaults.  Memory: a buffer of 128 KiB that grows to
 * max_record_bytes as records ask for it, and 16 bytes a column; below 6 MiB with the defaults.
 * Not thread-safe.
 * Errors: ERR_NOMEM, ERR_ARGS (limits that contradict each other), ERR_UNSUPPORTED (the processor
 * lacks the kernel asked for). */
MUST_CHECK int csv_reader_create(const struct csv_options *options, struct csv_input input,
                                 struct csv_reader **out, struct error *err);
void csv_reader_free(struct csv_reader *reader);
void csv_reader_freep(struct csv_reader **reader); /* for CLEANUP */

/* The next good record: 1 with *record, 0 at the end, or a negative code.  The header comes first,
 * as record 0.  After a failure the reader gives the same failure again.
 * Errors: those of the input; ERR_INVALID (the header itself is bad); ERR_NOMEM. */
MUST_CHECK int csv_reader_next(struct csv_reader *reader, struct csv_record *record,
                               struct error *err);

/* The line where the last record delivered starts, from 1.  Computed when asked for: costs a look
 * at the bytes since it was asked last, or at 16 KiB. */
uint64_t csv_reader_line(struct csv_reader *reader);

const struct csv_counts *csv_reader_counts(const struct csv_reader *reader);

/* A field's value, {NULL, 0} for an empty or missing one.  Doubled quotes become one, in place, the
 * first time a field is asked for: a field nobody reads costs nothing.  Valid as long as record. */
struct str csv_field(const struct csv_record *record, size_t column);

enum csv_field_form csv_field_form(const struct csv_record *record, size_t column);

/* "text after a closing quote" and so on; static. */
const char *csv_defect_text(enum csv_defect defect);
