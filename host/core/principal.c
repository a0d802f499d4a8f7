#include "core/principal.h"

enum { TEXTS = 4 };

static void texts_of(struct principal *p, str *ret[TEXTS])
{
    str *all[TEXTS] = {&p->subject, &p->tenant, &p->actor, &p->remote};

    memcpy(ret, all, sizeof all);
}

size_t principal_bytes(const struct principal *from)
{
    struct principal copy = *from;
    str *texts[TEXTS];
    size_t n = from->scope_count, scopes = n * sizeof *from->scopes;

    texts_of(&copy, texts);
    for (size_t i = 0; i < n; i++)
        scopes += (from->scopes[i].len + 15) & ~(size_t)15;
    return sizeof *from + str_total(texts, TEXTS) + scopes;
}

struct principal *principal_copy(struct arena *a, const struct principal *from)
{
    struct principal *p = arena_alloc(a, sizeof *p);
    str *scopes = p ? arena_alloc(a, from->scope_count * sizeof *scopes) : NULL;
    str *texts[TEXTS];

    if (!scopes)
        return NULL;
    *p = *from;
    texts_of(p, texts);
    for (size_t i = 0; i < from->scope_count; i++) {
        str *one[] = {&scopes[i]};
        scopes[i] = from->scopes[i];
        if (!arena_own(a, one, 1))
            return NULL;
    }
    p->scopes = scopes;
    return arena_own(a, texts, TEXTS) ? p : NULL;
}
