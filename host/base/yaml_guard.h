/* yaml_guard.h: what is refused before libfyaml sees it. Private to yaml.c. Pure. */
#ifndef BASE_YAML_GUARD_H
#define BASE_YAML_GUARD_H
#include "base/diag.h"

/* false, with a finding: a NUL byte, bytes that are no UTF-8, or an explicit key ("? key"). Nobody
 * needs those for configuration, and libfyaml 0.7.12 loses its own memory over a tab behind one. */
bool yaml_guard(str text, const char *file, struct diag *d);
#endif
