/* ctl.h: the parts of migctl. One thread, one command per process.
 *
 *   migctl.c       the table of commands, help, flags that every command takes
 *   ctl_args.c     the command line against tables of flags
 *   ctl_http.c     libcurl: see ctl_http.h       ctl_url.c       addresses, header lines
 *   ctl_ws.c       wslay: see ctl_ws.h           ctl_sse.c       event streams
 *   ctl_call.c     one request to the daemon and its answer
 *   ctl_print.c    tables, JSON for people, findings, errors
 *   ctl_mig.c      hello, discover, invoke, cancel
 *   ctl_events.c   publish, subscribe, invoke --stream
 *   ctl_admin.c    plugins, reload, instances
 *   ctl_new.c      new: files from templates       ctl_validate.c  validate
 *   ctl_check*.c   check: see ctl_check.h
 *   ctl_conformance*.c  conformance: see ctl_conformance.h */
#ifndef MAIN_CTL_H
#define MAIN_CTL_H
#include "base/buf.h"
#include "base/check.h"
#include "base/diag.h"
#include "ctl_http.h"
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
    const char *url, *tenant, *admin_key, *token, *actor;
    const char *ca, *cert, *cert_key;
    int64_t timeout_ms; /* 0: not given */
    bool is_json, wants_help, wants_version, is_insecure, is_http2;
    /* of single commands */
    bool is_dry_run, is_no_run, has_manifest, is_stream, is_list;
    const char *query, *message_id, *idempotency_key, *cap_version, *reason;
    const char *key, *consumer, *cursor, *max;
    const char *profile, *capability, *second_tenant, *second_token, *only;
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

/* ---- ctl_call.c */
struct reply {
    unsigned status; /* 0: no answer */
    struct buf body;
};
/* One request. path begins with a slash; body empty: none. CTL_OK: there is an answer, whatever its
 * status; otherwise an exit code, and the reason was printed. The caller deinits r->body. */
int http_call(const struct ctl *c, const char *method, const char *path, str body, struct reply *r);
/* Prints why a job has no answer. Returns the exit code for it. */
int http_say_fault(const struct ctl *c, const struct http_job *j);
/* A token as it is given: itself, or "@FILE" for the first line of a file. malloc'ed; NULL stays NULL.
 * false: a usage error was printed. */
bool token_read(const char *given, char **ret_token);

/* ---- ctl_mig.c */
/* {"header":{...}; the caller goes on with ",..." and "}". Initialises b. */
void op_begin(struct buf *b, const struct ctl *c);
/* ,"name":"text"; nothing for NULL. */
void op_add_member(struct buf *b, const char *name, const char *text);
/* The payload of invoke and publish: the second word, standard input for "-", or {}. An exit code. */
int op_read_payload(const struct ctl *c, struct buf *b);
/* POST /mig/v0.1/OPERATION[/TARGET]; the answer goes to `show` as finish_reply() says. */
int op_post(const struct ctl *c, const char *operation, const char *target, const struct buf *body,
            int (*show)(const struct ctl *c, str body));
/* Frees what member_text() made. */
void text_free(str s);

/* ---- ctl_events.c */
/* INVOKE with frames as they come. The body still lacks its last brace. */
int invoke_stream(const struct ctl *c, struct buf *body);

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
int ctl_publish(struct ctl *c);
int ctl_subscribe(struct ctl *c);
int ctl_conformance(struct ctl *c);
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
