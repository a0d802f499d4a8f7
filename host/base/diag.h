/* diag.h: the list of findings that a check of files produces, all at once, so that an operator
 * mends a file once. Owner: the checker; passed down by pointer. Not for concurrent use. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H
#include "base/buf.h"

enum diag_level { DIAG_ERROR, DIAG_WARNING };

struct diag_finding {
    enum diag_level level;
    char *file;            /* NULL: not about a file             */
    unsigned line, column; /* from 1; 0: unknown           */
    char *id;              /* stable name, "tool.mcp_name"       */
    char *text;            /* for humans                         */
};

struct diag {
    struct diag_finding *list;
    size_t count, cap;
    size_t errors;
};

struct diag_at {
    const char *file;
    unsigned line, column;
};

void diag_init(struct diag *d);
void diag_deinit(struct diag *d);
/* Adds one finding; at most 200 are kept, and the last says that more were left out. */
void diag_add(struct diag *d, enum diag_level level, struct diag_at at, const char *id,
              const char *format, ...) __attribute__((format(printf, 5, 6)));
#define diag_error(d, at, id, ...) diag_add(d, DIAG_ERROR, at, id, __VA_ARGS__)
#define diag_warn(d, at, id, ...) diag_add(d, DIAG_WARNING, at, id, __VA_ARGS__)
/* Appends the findings of from, which is empty afterwards. */
void diag_move(struct diag *d, struct diag *from);
/* One line, without a newline: "manifest.yaml:3:7: error: tool.mcp_name: ..." */
void diag_line(const struct diag_finding *f, struct buf *out);
/* The findings as a JSON array of {level, file, line, column, id, message}. */
void diag_json(const struct diag *d, struct buf *out);
#endif
