/* prom.h: lines of Prometheus text, format 0.0.4 (prometheus.io, "Exposition formats"). Whatever a help text or a
 * value of a label has in it, the line stays one line and UTF-8. Pure functions, any thread. */
#ifndef BASE_PROM_H
#define BASE_PROM_H
#include "base/buf.h"

struct prom_label {
    const char *name;
    str value;
};

/* Before the samples of a name. kind: counter, gauge, histogram. */
void prom_family(struct buf *out, const char *name, const char *kind, const char *help);
/* {a="x",b="y"}; nothing when n is 0. */
void prom_labels(struct buf *out, const struct prom_label *labels, size_t n);
void prom_sample(struct buf *out, const char *name, const struct prom_label *labels, size_t n,
                 int64_t value);
/* A family of one sample without labels. */
void prom_one(struct buf *out, const char *name, const char *kind, const char *help,
              uint64_t value);
#endif
