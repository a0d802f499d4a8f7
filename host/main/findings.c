#include "main/findings.h"

void findings_print(const struct diag *d, FILE *to)
{
    for (size_t i = 0; i < d->count; i++) {
        struct buf line;
        buf_init(&line, 16384);
        diag_line(&d->list[i], &line);
        fprintf(to, "%.*s\n", STR_ARG(buf_str(&line)));
        buf_deinit(&line);
    }
}
