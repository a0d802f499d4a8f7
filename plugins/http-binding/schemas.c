/* GET /mig/v0.1/schemas?uri=: the schema of a capability that the caller may invoke. */
#include "http_binding.h"
#include <mig/sdk/query.h>
#include <stdlib.h>

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
    if (s.tag) /* a bad escape: then it is required */
        mig_query_decode(mig_query_value(rq->query, "uri"), ' ', s.tag, &s.target);
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
