#include "main/builtin.h"

#include <stddef.h>

extern const mig_plugin_entry_t mig_plugin_entry_echo, mig_plugin_entry_http_binding,
    mig_plugin_entry_ws_binding, mig_plugin_entry_admin, mig_plugin_entry_pro, mig_plugin_entry_lua;

const struct module_builtin *builtin_modules(void)
{
    static const struct module_builtin all[] = {
        {"http-binding", &mig_plugin_entry_http_binding},
        {"ws-binding", &mig_plugin_entry_ws_binding},
        {"admin", &mig_plugin_entry_admin},
        {"pro", &mig_plugin_entry_pro},
        {"echo", &mig_plugin_entry_echo},
        {"lua", &mig_plugin_entry_lua},
        {NULL, NULL},
    };
    return all;
}
