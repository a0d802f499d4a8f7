/* upsert.h: is the body of an admin upsert a capability that this version can serve? (MIG v0.1 9.1,
 * 14.1). Pure. */
#ifndef MAIN_UPSERT_H
#define MAIN_UPSERT_H
#include "base/json.h"

/* NULL, or a static text for the operator. */
const char *upsert_fault(const json_value *body);
#endif
