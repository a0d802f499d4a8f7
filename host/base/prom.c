#include "base/prom.h"

static str escape_of(char c, bool is_quoted)
{
    switch (c) {
    case '\n': return S("\\n");
    case '\\': return S("\\\\");
    case '"': return is_quoted ? S("\\\"") : (str){NULL, 0};
    default: return (str){NULL, 0};
    }
}

static void add_text(struct buf *out, str s, bool is_quoted)
{
    while (s.len) {
        str escape = escape_of(*s.ptr, is_quoted);
        size_t n = escape.len ? 1 : buf_add_character(out, s);
        buf_add(out, escape);
        s = str_cut(s, n);
    }
}

void prom_family(struct buf *out, const char *name, const char *kind, const char *help)
{
    buf_addf(out, "# HELP %s ", name);
    add_text(out, str_of(help), /*is_quoted=*/false);
    buf_addf(out, "\n# TYPE %s %s\n", name, kind);
}

void prom_labels(struct buf *out, const struct prom_label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "%c%s=\"", i ? ',' : '{', labels[i].name);
        add_text(out, labels[i].value, /*is_quoted=*/true);
        buf_addz(out, i + 1 < n ? "\"" : "\"}");
    }
}

void prom_sample(struct buf *out, const char *name, const struct prom_label *labels, size_t n,
                 int64_t value)
{
    buf_addz(out, name);
    prom_labels(out, labels, n);
    buf_addf(out, " %lld\n", (long long)value);
}

void prom_one(struct buf *out, const char *name, const char *kind, const char *help, uint64_t value)
{
    prom_family(out, name, kind, help);
    prom_sample(out, name, NULL, 0, (int64_t)value);
}
