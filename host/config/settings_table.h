/* settings_table.h: the one table behind the settings, and what one value of it can do. For
 * settings.c and settings_print.c alone. */
#ifndef CONFIG_SETTINGS_TABLE_H
#define CONFIG_SETTINGS_TABLE_H
#include "config/settings.h"

enum setting_type {
    SETTING_BOOL,
    SETTING_INT,
    SETTING_RATIO, // from 0 to 1; kept in millionths
    SETTING_TEXT,
    SETTING_TOKEN, // the name of an HTTP header
    SETTING_SECRET,
    SETTING_WORD,
    SETTING_ADDR,
    SETTING_PATH,
    SETTING_LIST,
    SETTING_PATHS,
    SETTING_CERTS, // struct cert_list
};

struct setting {
    const char *key;
    enum setting_type type;
    size_t offset;        // in struct settings
    const char *standard; // default, as in the environment; NULL: unset
    int64_t min, max;     // SETTING_INT
    const char *words;    // SETTING_WORD: "a|b|c"
    enum settings_apply apply;
    const char *complaint;     // SETTING_WORD: how a text of the contract calls a wrong word
    bool (*is_item)(str item); // SETTING_LIST: NULL: any text
    const char *items;         // what an item is, for findings
    const char *meaning;       // one sentence for the reference
};

enum { RATIO_ONE = 1000000 };
enum { SETTINGS_MAX = 160, SETTING_NAME_MAX = 48, SETTING_ITEMS_MAX = 64, SETTING_TEXT_MAX = 4096 };

extern const struct setting settings_table[];
extern const size_t settings_count;

/* Where a value comes from: for findings and for relative paths. */
struct setting_origin {
    const char *name; // as the operator knows it: "MIGD_LOOPS", "loops"
    struct diag_at at;
    const char *beside; // file whose folder relative paths are seen from; NULL: current directory
    bool is_lenient;    // words in any case
};

const struct setting *setting_find(str key);
/* "http.max_headers" is MIGD_HTTP_MAX_HEADERS, "mig.addr" is MIGD_ADDR. */
void setting_env_name(const struct setting *k, char ret_name[SETTING_NAME_MAX]);
static inline void *setting_at(const struct setting *k, const struct settings *s)
{
    return (char *)(uintptr_t)s + k->offset;
}
/* Checks and stores one value from its text (a list: with commas). On failure a finding says why,
 * and the old value stays. */
bool setting_set(struct settings *s, const struct setting *k, str text,
                 const struct setting_origin *from, struct diag *d);
/* The same for a list whose items are known already. */
bool setting_set_items(struct settings *s, const struct setting *k, const str *items, size_t count,
                       const struct setting_origin *from, struct diag *d);
/* SETTING_CERTS, from a YAML list, or from the text of one. settings_certs.c. */
struct yaml_node;
bool setting_set_certs(struct settings *s, const struct setting *k, const struct yaml_node *list,
                       const char *const *environ, const struct setting_origin *from,
                       struct diag *d);
bool setting_set_certs_text(struct settings *s, const struct setting *k, str text,
                            const struct setting_origin *from, struct diag *d);
void setting_free_certs(struct cert_list *list);
void setting_print_certs(const struct cert_list *list, struct buf *out);
/* settings_check.c: findings about values that do not go together. origins: by index in the table. */
void settings_check(const struct settings *s, const struct setting_origin *origins, struct diag *d);
/* "10.0.0.0/8", "::1"; "https://app.example.org:8443" or "*"; "example.org", "*.example.org". */
bool setting_is_cidr(str item);
bool setting_is_origin(str item);
bool setting_is_host(str item);
/* The exact words of mig-core.md 17: 1 t T TRUE true True, 0 f F FALSE false False. */
bool setting_parse_bool(str text, bool *ret);
void setting_clear(struct settings *s, const struct setting *k);
/* The value as JSON; a secret is "***". */
void setting_print(const struct settings *s, const struct setting *k, struct buf *out);
/* Is host:port only reachable from this machine? The empty host is every address. */
bool setting_is_loopback(str addr);
#endif
