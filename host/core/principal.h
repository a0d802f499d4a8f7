/* principal.h: on whose behalf something happens. Minted by edge/ from credentials; bindings cannot
 * make one. Immutable, lives as long as the request. */
#ifndef CORE_PRINCIPAL_H
#define CORE_PRINCIPAL_H
#include "base/arena.h"

struct principal {
    str subject;       /* "anonymous" when nobody is authenticated                     */
    str tenant;        /* what the transport says; may be empty in mode none           */
    str actor;         /* for records: the subject; in mode none the certificate's CN or X-Actor */
    const str *scopes; /* sorted */
    size_t scope_count;
    bool is_authenticated;
    bool has_tenant_header;
    bool is_host; /* the host itself: the self-checks. Neither counted, limited nor audited */
    str remote;   /* peer address, for records */
};

/* What principal_copy() will ask of the arena, but for alignment. */
size_t principal_bytes(const struct principal *from);
/* With all its texts. NULL: no memory. */
struct principal *principal_copy(struct arena *a, const struct principal *from);
static inline bool principal_has_scope(const struct principal *p, str scope)
{
    for (size_t i = 0; i < p->scope_count; i++)
        if (str_eq(p->scopes[i], scope))
            return true;
    return false;
}
#endif
