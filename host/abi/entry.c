#include "abi/entry.h"
#include "base/check.h"

#include <assert.h>

enum { PLUGINS_MAX = 64, ENTRY_1_0 = 24, PLUGIN_1_0 = 88 };
static_assert(sizeof(mig_plugin_entry_t) >= ENTRY_1_0 && sizeof(mig_plugin) >= PLUGIN_1_0, "1.0");

static bool is_reverse_dns(str id)
{
    bool has_dot = false, is_start = true;

    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (c == '.' && is_start)
            return false;
        has_dot |= c == '.';
        if (c != '.' && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
        is_start = c == '.';
    }
    return has_dot && !is_start && id.len <= 128;
}

static bool is_semantic(str v)
{
    str rest = v;

    for (int i = 0; i < 2; i++) {
        uint64_t n;
        if (!str_to_u64(str_split(&rest, '.'), &n))
            return false;
    }
    return rest.len && rest.ptr[0] >= '0' && rest.ptr[0] <= '9';
}

mig_plugin entry_copy_plugin(const mig_plugin *p)
{
    mig_plugin own = {0};

    memcpy(&own, p, p->struct_size < sizeof own ? p->struct_size : sizeof own);
    return own;
}

static bool has_unknown_wish(const mig_plugin *p)
{
    for (size_t i = sizeof *p; i < p->struct_size; i++)
        if (((const char *)p)[i])
            return true;
    return false;
}

static const char *plugin_fault(const mig_plugin *p)
{
    if (p->struct_size < PLUGIN_1_0)
        return "its mig_plugin is smaller than that of ABI 1.0";
    if (!p->id || !is_reverse_dns(str_of(p->id)))
        return "its id is not reverse DNS (org.example.name)";
    if (!p->version || !is_semantic(str_of(p->version)))
        return "its version is not a semantic version";
    if (!p->create)
        return "create is missing";
    if (!p->describe)
        return "describe is missing";
    if (!p->destroy)
        return "destroy is missing";
    if (has_unknown_wish(p))
        return "it uses members of mig_plugin that this host does not know";
    return NULL;
}

bool entry_check(const mig_plugin_entry_t *e, struct diag_at at, struct diag *d)
{
    size_t errors = d->errors, n = 0;

    if (!e || e->magic != MIG_ABI_MAGIC) {
        diag_error(d, at, "module.entry", "not a migd plugin: no mig_plugin_entry with the magic");
    } else if (e->abi_major != MIG_ABI_MAJOR) {
        diag_error(d, at, "module.abi_major", "built for ABI major %u, this host has %u",
                   e->abi_major, MIG_ABI_MAJOR);
    } else if (e->needs_minor > MIG_ABI_MINOR) {
        diag_error(d, at, "module.abi_minor", "needs ABI %u.%u, this host has %u.%u", e->abi_major,
                   e->needs_minor, MIG_ABI_MAJOR, MIG_ABI_MINOR);
    } else if (e->struct_size < ENTRY_1_0) {
        diag_error(d, at, "module.entry_size", "its entry has %u bytes, ABI 1.0 has %d",
                   e->struct_size, ENTRY_1_0);
    } else if (!e->plugins || !e->plugins[0]) {
        diag_error(d, at, "module.empty", "offers no plugin");
    } else {
        for (; e->plugins[n] && n < PLUGINS_MAX; n++) {
            const char *fault = plugin_fault(e->plugins[n]);
            if (fault)
                diag_error(d, at, "module.plugin", "plugin %s: %s",
                           e->plugins[n]->id ? e->plugins[n]->id : "(no id)", fault);
        }
    }
    return d->errors == errors;
}
