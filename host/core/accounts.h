/* accounts.h: the registries of MIG v0.1 14.3: organisations, tenants, gateways. Control thread. Rows
 * are JSON objects, stored under their id before anybody is told of them. */
#ifndef CORE_ACCOUNTS_H
#define CORE_ACCOUNTS_H
#include "base/buf.h"
#include "base/diag.h"
#include "mig/abi.h"

struct core;
struct accounts;

enum account_kind { ACCOUNT_ORG, ACCOUNT_TENANT, ACCOUNT_GATEWAY, ACCOUNT_KINDS };
enum { ACCOUNTS_MAX = 100000, ACCOUNT_ID = 32 };

/* Before the loops run. */
bool accounts_open(struct core *core, struct diag *d);
/* After the store is closed. */
void accounts_close(struct core *core);

/* An id nobody has: "org-", "tenant-" or "gw-" and 12 hexadecimal digits; a C string. */
void account_new_id(struct core *core, enum account_kind kind, char ret_id[ACCOUNT_ID]);
bool account_is(struct core *core, enum account_kind kind, str id);
/* Adds it. done runs once, now or later: MIG_OK, also for the same row again; MIG_INVALID_REQUEST: the
 * id has another row; MIG_BACKPRESSURE: no more of this kind; MIG_UNAVAILABLE: it could not be stored. */
void account_put(struct core *core, enum account_kind kind, str id, str json,
                 void (*done)(void *arg, mig_status status), void *arg);
/* All rows as a JSON array, in the order of their ids. */
void accounts_json(struct core *core, enum account_kind kind, struct buf *out);
#endif
