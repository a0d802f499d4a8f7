/* http_binding.h: between the files of this plugin. */
#ifndef HTTP_BINDING_H
#define HTTP_BINDING_H
#include <mig/ext/binding.h>
#include <mig/ext/http.h>
#include <mig/plugin.h>

struct binding {
    const mig_host *host;
    const mig_ext_http *http;
    const mig_ext_binding *mig;
};

/* http_binding.c */
int hb_is(mig_str a, const char *z, size_t n);
/* By lower-case name; ptr NULL when absent. */
mig_str hb_header_of(const mig_http_request *rq, const char *name);
mig_header hb_header(const char *name, mig_str value);
/* The transport's mirrors of envelope members (mig-core.md 2). */
void hb_take_mirror(mig_submit *s, const mig_header *h);
/* The whole answer as one JSON document. */
void hb_answer(struct binding *b, mig_call ex, const mig_outcome *out);

/* events.c: answers as event streams (mig-core.md 11.2 and 11.3) */
/* Sets the callbacks of an INVOKE or a simple operation; as_events: streams become event streams. */
void hb_answer_with(mig_submit *s, int as_events);
/* The route of SUBSCRIBE. */
mig_status hb_describe_subscribe(const mig_registrar *reg);

/* schemas.c: GET /mig/v0.1/schemas (mig-core.md 11.1) */
mig_status hb_describe_schemas(const mig_registrar *reg);
#endif
