/* mig.stream/1 */
#include "abi/pending.h"
#include "abi/tables.h"
#include "mig/ext/stream.h"

static mig_status send_wait(const mig_host *h, mig_call call, const mig_payload *frame)
{
    struct instance *i = instance_of(h);
    return call_send_wait(i->core, i, call, frame);
}

static mig_status recv_wait(const mig_host *h, mig_call call, mig_str *ret_json)
{
    struct instance *i = instance_of(h);
    return call_recv_wait(i->core, i, call, ret_json);
}

static mig_status grant(const mig_host *h, mig_call call, uint32_t n)
{
    struct instance *i = instance_of(h);
    return call_grant(i->core, i, call, n);
}

const void *table_stream(struct instance *i)
{
    static const mig_ext_stream table = {sizeof table, 0, send_wait, recv_wait, grant};
    (void)i;
    return &table;
}
