#include "core/principal.h"

struct principal *principal_copy(struct arena *a, const struct principal *from)
{
    struct principal *p = arena_alloc(a, sizeof *p);
    str *scopes = arena_alloc(a, (from->scope_count + 1) * sizeof *scopes);

    if (!p || !scopes)
        return NULL;
    *p = *from;
    str *texts[] = {&p->subject, &p->tenant, &p->actor, &p->remote};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i]->len && !(*texts[i] = arena_copy(a, *texts[i])).ptr)
            return NULL;
    for (size_t i = 0; i < from->scope_count; i++)
        scopes[i] = arena_copy(a, from->scopes[i]);
    p->scopes = scopes;
    return p;
}
