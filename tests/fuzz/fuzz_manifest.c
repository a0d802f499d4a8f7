/* Any text as a manifest: a manifest or an error, never both and never a crash. */
#include "base/check.h"
#include "config/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf json;

    diag_init(&d);
    buf_init(&json, 1 << 20);
    CLEANUP(manifest_freep)
    struct manifest *m = manifest_parse((str){(const char *)data, size}, "dir/fuzz.yaml", &d);
    must((m == NULL) == (d.errors > 0));
    diag_json(&d, &json);
    for (size_t i = 0; m && i < m->tool_count; i++)
        must(m->tools[i].mcp_name && m->tools[i].mig_capability && m->tools[i].mode);
    for (size_t i = 0; m && i < m->provider_count; i++)
        must(m->providers[i].name && m->providers[i].config &&
             (m->providers[i].path || m->providers[i].plugin));
    return 0;
}
