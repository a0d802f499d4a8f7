/* audit.h: the record of who did what (MIG v0.1 15.3). Each loop packs its records into memory of its own,
 * without a lock; that memory is what the export reads. With a file, one thread writes them there too.
 * When neither is wanted nothing is recorded.
 *
 * A crash of the process may take the records of its last 20 ms with it (ACTIVE_MS in audit.c). */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H
#include "core/record.h"

#include <stdatomic.h>

struct audit;

struct audit_settings {
    const char *path;      /* one JSON object per line, appended; NULL: no file           */
    uint64_t file_bytes;   /* a file larger than that is rotated; 0: never           */
    unsigned keep;         /* rotated files: path.1 is the youngest                  */
    bool is_chained;       /* each line names the SHA-256 of the one before: `prev`  */
    bool is_required;      /* calls are refused when what they do cannot be recorded */
    uint64_t tail_records; /* kept in memory; 0: none                                */
    uint64_t tail_bytes;   /* and at most so much memory for them                    */
};

/* Switched off. */
struct audit *audit_new(size_t loops);
/* After the loops have ended: writes what waits, ends the thread. */
void audit_free(struct audit *a);
/* Control thread. At the start and after each reload; the path of the first time stays. false: the file
 * cannot be opened; error says why. */
bool audit_configure(struct audit *a, const struct audit_settings *s, char error[256]);
/* Any thread. Open the file again by its name: after somebody has moved it away. */
void audit_reopen(struct audit *a);

/* Any thread. */
bool audit_is_on(const struct audit *a);
/* A loop gives its index, every other thread AUDIT_NO_LOOP. The texts are copied. */
enum { AUDIT_NO_LOOP = 0xFFFF };
void audit_add(struct audit *a, unsigned loop, const struct record *r);
/* The same for an ordinary invocation. A loop's thread, and only while audit_is_on(). */
void audit_add_brief(struct audit *a, unsigned loop, const struct brief *b);
/* Must a new call be refused? Any thread. */
bool audit_refuses(const struct audit *a);

/* Control thread: all that was recorded before is in the file, unless that cannot be written. */
void audit_flush(struct audit *a);
/* Any thread but a loop's. What is kept in memory, oldest first, until visit says false. */
void audit_each(struct audit *a, bool (*visit)(void *arg, const struct record *r), void *arg);

struct audit_stats {
    uint64_t dropped;      /* lost: no memory, or not written to the file     */
    uint64_t write_errors; /* writes that failed; required ones are repeated  */
    uint64_t tail_records, tail_bytes;
    bool is_blocked;
};
void audit_stats(struct audit *a, struct audit_stats *ret);
#endif
