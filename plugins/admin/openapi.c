/* The OpenAPI documents of docs/reference/openapi, as they were when this was built. */
#include "admin.h"

/* The file's bytes as two symbols; C17 has no #embed. */
#define DOCUMENT(name)                                                                             \
    __asm__(".pushsection .rodata\n"                                                               \
            ".hidden openapi_" #name "_begin\n.hidden openapi_" #name "_end\n"                     \
            ".global openapi_" #name "_begin\n.global openapi_" #name "_end\n"                     \
            "openapi_" #name "_begin:\n.incbin \"" OPENAPI_DIR "/" #name ".yaml\"\n"               \
            "openapi_" #name "_end:\n.popsection\n");                                              \
    extern const char openapi_##name##_begin[], openapi_##name##_end[];

DOCUMENT(mig)
DOCUMENT(admin)
DOCUMENT(pro)
DOCUMENT(cloud)

struct document {
    const char *path, *begin, *end;
};

static const struct document documents[] = {
    {"/openapi/mig.yaml", openapi_mig_begin, openapi_mig_end},
    {"/openapi/admin.yaml", openapi_admin_begin, openapi_admin_end},
    {"/openapi/pro.yaml", openapi_pro_begin, openapi_pro_end},
    {"/openapi/cloud.yaml", openapi_cloud_begin, openapi_cloud_end},
};

static void on_request(void *self, void *data, mig_call ex, const mig_http_request *rq)
{
    const struct document *d = data;
    const struct verb_site *a = self;
    mig_header type = {mig_s("Content-Type"), mig_s("application/yaml")};
    mig_payload p = {{d->begin, (size_t)(d->end - d->begin)}, NULL, NULL};

    (void)rq;
    a->http->respond(a->host, ex, 200, &type, 1);
    a->host->finish(a->host, ex, &p);
}

mig_status admin_describe_openapi(const mig_registrar *reg)
{
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        mig_http_route r = {0};
        r.struct_size = sizeof r;
        r.flags = MIG_ROUTE_PUBLIC;
        r.exec = MIG_EXEC_LOOP;
        r.method = "GET";
        r.pattern = documents[i].path;
        r.data = (void *)(uintptr_t)&documents[i];
        r.on_request = on_request;
        mig_status status = reg->extend(reg, MIG_EXT_HTTP_ROUTE, &r);
        if (status != MIG_OK)
            return status;
    }
    return MIG_OK;
}
