#include "base/diag.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT = 200 };

void diag_init(struct diag *d)
{
    *d = (struct diag){0};
}

void diag_deinit(struct diag *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->list[i].file);
        free(d->list[i].id);
        free(d->list[i].text);
    }
    free(d->list);
    diag_init(d);
}

static bool grow(struct diag *d)
{
    if (d->count < d->cap)
        return true;
    size_t cap = d->cap ? d->cap * 2 : 16;
    struct diag_finding *list = realloc(d->list, cap * sizeof *list);
    if (!list)
        return false;
    d->list = list;
    d->cap = cap;
    return true;
}

void diag_add(struct diag *d, enum diag_level level, struct diag_at at, const char *id,
              const char *format, ...)
{
    char *text = NULL;
    va_list args;

    d->errors += level == DIAG_ERROR;
    if (d->count > KEPT || !grow(d))
        return;
    if (d->count == KEPT) {
        at = (struct diag_at){0};
        id = "diag.more";
        text = strdup("more findings were left out");
    } else {
        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
            text = NULL;
        va_end(args);
    }
    d->list[d->count++] = (struct diag_finding){
        .level = level,
        .file = at.file ? strdup(at.file) : NULL,
        .line = at.line,
        .column = at.column,
        .id = strdup(id),
        .text = text,
    };
}

void diag_move(struct diag *d, struct diag *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct diag_finding *f = &from->list[i];
        diag_add(d, f->level, (struct diag_at){f->file, f->line, f->column}, f->id ? f->id : "?",
                 "%s", f->text ? f->text : "");
    }
    diag_deinit(from);
}

static const char *level_name(enum diag_level level)
{
    return level == DIAG_ERROR ? "error" : "warning";
}

void diag_line(const struct diag_finding *f, struct buf *out)
{
    if (f->file)
        buf_addf(out, "%s:", f->file);
    if (f->line)
        buf_addf(out, "%u:%u:", f->line, f->column);
    buf_addf(out, "%s%s: %s: %s", f->file ? " " : "", level_name(f->level), f->id ? f->id : "?",
             f->text ? f->text : "");
}

void diag_json(const struct diag *d, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < d->count; i++) {
        const struct diag_finding *f = &d->list[i];
        buf_addf(out, "%s{\"level\":\"%s\"", i ? "," : "", level_name(f->level));
        if (f->file) {
            buf_addz(out, ",\"file\":");
            buf_add_json(out, str_of(f->file));
        }
        if (f->line)
            buf_addf(out, ",\"line\":%u,\"column\":%u", f->line, f->column);
        buf_addz(out, ",\"id\":");
        buf_add_json(out, str_of(f->id));
        buf_addz(out, ",\"message\":");
        buf_add_json(out, str_of(f->text));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}
