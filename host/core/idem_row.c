#include "core/idem_row.h"

#include <stdlib.h>

/* Value: these numbers, least significant byte first, the fingerprint, then json, message, details. */
enum { ROW_FORMAT = 1, NUMBERS = 8, HEAD = NUMBERS * 8 + DIGEST_HEX };
enum number { FORMAT, AT_MS, STATUS, RETRY, RETRY_AFTER_MS, JSON_LEN, MESSAGE_LEN, DETAILS_LEN };

static void put_number(char *head, enum number n, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        head[(int)n * 8 + i] = (char)(v >> 8 * i);
}

static uint64_t number(str value, enum number n)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)value.ptr[(int)n * 8 + i] << 8 * i;
    return v;
}

static char *put(char *to, str s)
{
    if (s.len)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

/* Kind, name, line feed, key. */
static size_t name_len(const struct idem_key *k)
{
    return 1 + k->name.len + 1 + k->key.len;
}

static char *put_name(char *to, const struct idem_key *k)
{
    *to++ = (char)k->kind;
    to = put(to, k->name);
    *to++ = '\n';
    return put(to, k->key);
}

bool idem_row_name(struct idem_row_name *ret, const struct idem_key *k)
{
    char *text = malloc(k->tenant.len + name_len(k));

    *ret = (struct idem_row_name){.text = text};
    if (!text)
        return false;
    char *name = put(text, k->tenant);
    put_name(name, k);
    ret->tenant = (struct store_tenant){{text, k->tenant.len}};
    ret->name = (str){name, name_len(k)};
    return true;
}

void idem_row_name_free(struct idem_row_name *n)
{
    free(n->text);
}

struct store_key idem_row_key(const struct idem_row_name *n)
{
    return store_key(n->tenant, STORE_IDEMPOTENCY, n->name);
}

char *idem_row_write(struct idem_row *ret, const struct idem_key *k, const char *fingerprint,
                     const struct call_result *r, uint64_t at_ms)
{
    size_t len = HEAD + r->json.len + r->message.len + r->details.len;
    char *tenant = malloc(k->tenant.len + name_len(k) + len);

    if (!tenant)
        return NULL;
    char *name = put(tenant, k->tenant);
    char *head = put_name(name, k);
    const uint64_t numbers[NUMBERS] = {
        [FORMAT] = ROW_FORMAT,
        [AT_MS] = at_ms,
        [STATUS] = (uint64_t)r->status,
        [RETRY] = r->retry,
        [RETRY_AFTER_MS] = r->retry_after_ms,
        [JSON_LEN] = r->json.len,
        [MESSAGE_LEN] = r->message.len,
        [DETAILS_LEN] = r->details.len,
    };
    for (unsigned n = 0; n < NUMBERS; n++)
        put_number(head, (enum number)n, numbers[n]);
    memcpy(head + NUMBERS * 8, fingerprint, DIGEST_HEX);
    put(put(put(head + HEAD, r->json), r->message), r->details);
    ret->key = store_key((struct store_tenant){{tenant, k->tenant.len}}, STORE_IDEMPOTENCY,
                         (str){name, name_len(k)});
    ret->value = (str){head, len};
    return tenant;
}

static bool read_key(struct idem_key *ret, struct store_tenant tenant, str name)
{
    if (name.len < 3 || (name.ptr[0] != IDEM_INVOKE && name.ptr[0] != IDEM_PUBLISH))
        return false;
    str rest = str_cut(name, 1), what = str_split(&rest, '\n');
    *ret = (struct idem_key){tenant.id, (enum idem_kind)name.ptr[0], what, rest};
    return what.len && rest.len;
}

bool idem_row_read(struct idem_row_read *ret, struct store_tenant tenant,
                   const struct store_row *row)
{
    str v = row->value;

    if (v.len < HEAD || number(v, FORMAT) != ROW_FORMAT || number(v, STATUS) > MIG_INTERNAL ||
        !read_key(&ret->key, tenant, row->name))
        return false;
    uint64_t json = number(v, JSON_LEN), message = number(v, MESSAGE_LEN);
    uint64_t details = number(v, DETAILS_LEN), left = v.len - HEAD;
    if (json > left || message > left - json || details != left - json - message)
        return false;
    const char *at = v.ptr + HEAD;
    ret->fingerprint = v.ptr + NUMBERS * 8;
    ret->at_ms = number(v, AT_MS);
    ret->result = (struct call_result){
        .status = (mig_status)number(v, STATUS),
        .retry = (uint32_t)number(v, RETRY),
        .retry_after_ms = (uint32_t)number(v, RETRY_AFTER_MS),
        .json = {at, json},
        .message = {at + json, message},
        .details = {at + json + message, details},
    };
    return true;
}
