/* idem_row.h: how a finished operation is stored: one row of STORE_IDEMPOTENCY, named by kind, name
 * and key. Between idem.c and the store. */
#ifndef CORE_IDEM_ROW_H
#define CORE_IDEM_ROW_H
#include "core/idem.h"

/* The tenant and the name of a row, in one block of its own. */
struct idem_row_name {
    char *text;
    struct store_tenant tenant;
    str name;
};
/* false: no memory. */
bool idem_row_name(struct idem_row_name *ret, const struct idem_key *k);
void idem_row_name_free(struct idem_row_name *n);
struct store_key idem_row_key(const struct idem_row_name *n);

/* What is written. */
struct idem_row {
    struct store_key key;
    str value;
};
/* The block that key and value are in, malloc'ed; NULL: no memory. */
char *idem_row_write(struct idem_row *ret, const struct idem_key *k, const char *fingerprint,
                     const struct call_result *r, uint64_t at_ms);

/* What is read: slices of the stored row. */
struct idem_row_read {
    struct idem_key key;
    const char *fingerprint;
    uint64_t at_ms;
    struct call_result result;
};
/* false: this is no such row. */
bool idem_row_read(struct idem_row_read *ret, struct store_tenant tenant,
                   const struct store_row *row);
#endif
