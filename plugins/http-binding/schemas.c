/* GET /mig/v0.1/schemas?uri=: the schema of a capability that the caller may invoke. */
#include "http_binding.h"
#include <stdlib.h>
#include <string.h>

/* The value of `uri`, decoded into `out` (as large as the query); empty when there is none. 0: a bad
 * escape. */
static int read_uri(mig_str query, char *out, mig_str *ret)
{
    const char *at = query.ptr, *end = query.ptr + query.len;

    ret->ptr = out;
    ret->len = 0;
    while (query.len && at < end) {
        const char *stop = (const char *)memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        mig_str raw = {at + 4, stop - at > 4 ? (size_t)(stop - at) - 4 : 0};
        if (raw.len && memcmp(at, "uri=", 4) == 0)
            return hb_decode(raw, out, &ret->len);
        at = stop + 1;
    }
    return 1;
}

static void on_done(void *self, void *tag, mig_call ex, const mig_outcome *out)
{
    hb_answer(self, ex, out);
    free(tag);
}

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    struct binding *b = self;
    mig_submit s = {0};

    (void)data;
    s.struct_size = sizeof s;
    s.operation = MIG_OP_SCHEMA;
    s.binding = mig_s("http");
    s.on_done = on_done;
    s.tag = malloc(rq->query.len + 1);
    for (uint32_t i = 0; i < rq->header_count; i++)
        hb_take_mirror(&s, &rq->headers[i]);
    if (s.tag && !read_uri(rq->query, s.tag, &s.target))
        s.target.len = 0; /* then it is required */
    if (s.tag && b->mig->submit(b->host, ex, &s) == MIG_OK)
        return;
    free(s.tag);
    mig_finish_error(b->host, ex, MIG_UNAVAILABLE, "the request cannot be taken now");
}

mig_status hb_describe_schemas(const mig_registrar *reg)
{
    mig_http_route r = {0};

    r.struct_size = sizeof r;
    r.exec = MIG_EXEC_LOOP;
    r.method = "GET";
    r.pattern = "/mig/v0.1/schemas";
    r.on_request = on_request;
    return reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
}
