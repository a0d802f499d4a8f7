/* admin.h: between the files of this plugin. */
#ifndef ADMIN_H
#define ADMIN_H
#include "verb_routes.h"

/* openapi.c: GET /openapi/NAME.yaml, public */
mig_status admin_describe_openapi(const mig_registrar *reg);
#endif
