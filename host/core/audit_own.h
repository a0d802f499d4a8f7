/* audit_own.h: between audit.c (recording and the thread), audit_tail.c (memory) and audit_file.c. */
#ifndef CORE_AUDIT_OWN_H
#define CORE_AUDIT_OWN_H
#include "base/digest.h"
#include "core/audit.h"

#include <pthread.h>

/* --- memory: chunks of packed records, those of a lane in the order of their making ----------------- */

struct audit_tail;
struct chunk;

/* One writer. */
struct audit_lane {
    _Alignas(64) struct chunk *current; /* written by the lane's thread alone, without a lock */
    char *at, *end;                     /* where the next record goes                         */
    struct chunk *first, *last;         /* under the tail's lock                              */
    uint64_t numbers;                   /* under the tail's lock                              */
    _Atomic uint64_t dropped;           /* records for which there was no memory              */
};

struct audit_tail *audit_tail_new(struct audit_lane *lanes, size_t lane_count);
void audit_tail_free(struct audit_tail *t);
/* records: wanted for the export; bytes: for all chunks. has_file: chunks are kept until a file cursor has
 * read them, as long as there is room. */
void audit_tail_limit(struct audit_tail *t, uint64_t records, uint64_t bytes, bool has_file);
/* Lane's thread: room for another record at lane->at, in a new chunk. false: no memory. */
bool audit_tail_extend(struct audit_tail *t, struct audit_lane *lane);
/* Lane's thread: the record of n bytes at lane->at + AUDIT_LENGTH is complete. */
enum { AUDIT_LENGTH = sizeof(uint16_t) };
void audit_tail_commit(struct audit_lane *lane, size_t n);

/* Somebody who reads a lane from its oldest record on. Zeroed: at the beginning. */
struct cursor {
    struct chunk *chunk; /* stays while it is read */
    size_t at;
    uint64_t number; /* of the chunk, also when it is not held any more */
    bool is_file;    /* what it has read may go                         */
};
/* ptr NULL: nothing (more). */
str cursor_peek(struct audit_tail *t, struct audit_lane *lane, struct cursor *c);
void cursor_next(struct cursor *c);
void cursor_end(struct audit_tail *t, struct cursor *c);

struct tail_stats {
    uint64_t records, bytes;
    uint64_t missed; /* records that went before the file had them */
};
void audit_tail_stats(struct audit_tail *t, struct tail_stats *ret);
/* Is the file so far behind that chunks will go unread? Any thread. */
bool audit_tail_is_pressed(const struct audit_tail *t);
uint64_t audit_tail_records(struct audit_tail *t);

/* --- the file. Owner: the audit's thread; the atomics: any thread. --------------------------------- */

struct audit_file {
    char *path;
    int fd;
    uint64_t size, max_bytes;
    unsigned keep;
    bool is_chained, is_required;
    char last[DIGEST_HEX + 1];    /* hash of the last line of `lines`  */
    char written[DIGEST_HEX + 1]; /* of the last one that was written  */
    struct buf lines, line;
    _Atomic uint64_t errors, dropped;
    _Atomic bool is_stuck; /* required, and cannot be written: nothing more is taken */
};

/* false: errno says why. */
bool audit_file_open(struct audit_file *f, const char *path);
void audit_file_close(struct audit_file *f);
void audit_file_reopen(struct audit_file *f);
/* Not while it is stuck. */
void audit_file_add(struct audit_file *f, const struct record *r);
/* Writes what was added. While it is stuck: tries again. */
void audit_file_flush(struct audit_file *f);
#endif
