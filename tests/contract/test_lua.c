/* The Lua engine against the mock host. */
#include "contract.h"

extern const mig_plugin_entry_t mig_plugin_entry_lua;

static char dir[] = "/tmp/migd-contract-XXXXXX";
static char config[512];

static const char *script(const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/s.lua", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    snprintf(config, sizeof config, "{\"script\":\"%s\",\"name\":\"s\",\"config\":{}}", path);
    return config;
}

static const char greeter[] = "mig.capability(\"test.greet\", \"1.0.0\", {\n"
                              "  summary = \"Greets.\",\n"
                              "  handler = function(call)\n"
                              "    if not call.payload.name then error(\"no name\") end\n"
                              "    return { greeting = \"Hello, \" .. call.payload.name }\n"
                              "  end,\n})\n";
