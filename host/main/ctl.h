/* ctl.h: the parts of migctl. One thread, one command per process.
 *
 *   migctl.c       the table of commands, help, flags that every command takes
 *   ctl_args.c     the command line against tables of flags
 *   ctl_http.c     one request to the daemon and its answer
 *   ctl_print.c    tables, JSON for people, findings, errors
 *   ctl_mig.c      hello, discover, invoke, cancel
 *   ctl_admin.c    plugins, reload, instances
 *   ctl_new.c      new: files from templates       ctl_validate.c  validate
 *   ctl_check*.c   check: see ctl_check.h */
#ifndef MAIN_CTL_H
#define MAIN_CTL_H
#include "base/buf.h"
#include "base/check.h"
#include "base/diag.h"
#include "mig/sdk/json.h"

#include <stdio.h>

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_NOT_RUNNING = 3 };

enum ctl_flag_kind { CTL_SWITCH, CTL_TEXT, CTL_SECONDS };

/* A flag: value of type bool, const char * or int64_t (milliseconds) at `offset` of struct ctl. */
struct ctl_flag {
    const char *name, *value, *help; /* "tenant", "ID" (NULL: a switch), one sentence */
    enum ctl_flag_kind kind;
    size_t offset;
};

struct ctl {
    /* for every command */
    const char *url, *tenant, *admin_key;
    int64_t timeout_ms; /* 0: not given */
    bool is_json, wants_help, wants_version;
    /* of single commands */
    bool is_dry_run, is_no_run, has_manifest;
    const char *query, *message_id, *idempotency_key, *cap_version, *reason;
    /* what is left of the command line */
    char **words;
    size_t word_count;
};

struct ctl_command {
    const char *name, *usage, *summary, *help;
    size_t least, most; /* words after the command */
    int (*run)(struct ctl *c);
    const struct ctl_flag *flags; /* NULL: none; a row without a name ends them */
};

/* ---- ctl_args.c */
/* Takes flags out of argv[1..]; what is left is c->words. "--" ends the flags. false: a usage error
 * was printed. `own` may be NULL. */
bool args_parse(struct ctl *c, int argc, char **argv, const struct ctl_flag *common,
                const struct ctl_flag *own);
/* The first argument that is no flag and no flag's value; 0: there is none. */
int args_command(int argc, char **argv, const struct ctl_flag *common);
/* Of a NULL-terminated list, the name nearest to the text; NULL: nothing is near. */
const char *args_nearest(const char *text, const char *const *names);
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- ctl_http.c */
enum { HTTP_ANSWER_MAX = 64 << 20 };

struct url {
    char host[256], port[8], prefix[256]; /* host without brackets; prefix without a last slash */
};
struct reply {
    unsigned status; /* 0: no answer */
    struct buf body;
};
/* false: *why (static) says what is wrong. */
bool url_parse(struct url *u, const char *text, const char **why);
/* A segment of a path, percent-encoded. */
void url_add_segment(struct buf *out, str segment);
/* One request. path begins with a slash; body empty: none. CTL_OK: there is an answer, whatever its
 * status; otherwise an exit code, and the reason was printed. The caller deinits r->body. */
int http_call(const struct ctl *c, const char *method, const char *path, str body, struct reply *r);

/* ---- ctl_print.c */
enum { TABLE_COLUMNS = 8 };
/* Rows of text, printed with aligned columns; the last one is as long as it is. */
struct table {
    size_t columns, rows, cap;
    char **cells;
};
void table_init(struct table *t, const char *const *titles); /* NULL-terminated */
/* Cells in the order of the titles. Copied; control characters become '?'. */
void table_row(struct table *t, const str *cells);
void table_print(const struct table *t, FILE *out);
void table_deinit(struct table *t);
/* A member as text for people: strings decoded, lists with commas, the rest as it stands.
 * malloc'ed. */
str member_text(mig_str object, const char *name);
/* On one line when that has up to `width` columns, otherwise indented. */
void json_pretty(struct buf *out, str json, size_t width);
void print_json(str json);
/* "file:line:column: level: id: message", one line each. */
void print_findings(const struct diag *d, FILE *out);
void findings_of(struct diag *d, mig_str array);
/* What a refusal says, on stderr. Always CTL_FAILED. */
int print_refusal(const struct ctl *c, const struct reply *r);
/* The two ends of most commands: 2xx goes to `show` (or, with --json, out as it is). */
int finish_reply(const struct ctl *c, struct reply *r, int (*show)(const struct ctl *c, str body));

/* ---- the commands */
int ctl_hello(struct ctl *c);
int ctl_discover(struct ctl *c);
int ctl_invoke(struct ctl *c);
int ctl_cancel(struct ctl *c);
int ctl_plugins(struct ctl *c);
int ctl_reload(struct ctl *c);
int ctl_instances(struct ctl *c);
int ctl_new(struct ctl *c);
int ctl_validate(struct ctl *c);
int ctl_check(struct ctl *c);
/* migctl --check-child FILE ...: what ctl_check() starts. */
int ctl_check_child(int argc, char **argv);

/* ---- ctl_new.c */
/* Are these bytes a name that files and identifiers can be made of? [a-z][a-z0-9_-]{0,40} */
bool new_is_name(const char *name);
/* Replaces @NAME@, @IDENT@ and @INCLUDE@. */
void new_expand(struct buf *out, str template, const char *name, const char *include);
#endif
