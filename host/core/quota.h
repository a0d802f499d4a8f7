/* quota.h: counts of what runs, per tenant. The stages are in op.h. */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H
struct quota;
struct quota *quota_new(void);
void quota_free(struct quota *q);
#endif
