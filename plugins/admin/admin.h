/* admin.h: between the files of this plugin. */
#ifndef ADMIN_H
#define ADMIN_H
#include <mig/ext/control.h>
#include <mig/ext/http.h>
#include <mig/plugin.h>

struct admin {
    const mig_host *host;
    const mig_ext_http *http;
    const mig_ext_control *control;
};

/* openapi.c: GET /openapi/NAME.yaml, public */
mig_status admin_describe_openapi(const mig_registrar *reg);
#endif
