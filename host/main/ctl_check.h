/* ctl_check.h: the parts of `migctl check`. The parent (ctl_check.c) starts this program again with
 * --check-child; the child loads the module and tells what it sees, line by line, on descriptor 3:
 *
 *   S where it is, for the report of a crash or a standstill     F a failure
 *   N a note, no failure                                         O the last line, all is well
 *
 *   ctl_check_child.c  limits, loading, entry, ids               ctl_elf.c  symbols of the file
 *   ctl_check_run.c    an instance against the mock host         ctl_gen.c  input from a schema */
#ifndef MAIN_CTL_CHECK_H
#define MAIN_CTL_CHECK_H
#include "ctl.h"
#include "mig/plugin.h"

enum { CHECK_FD = 3, CHECK_FAILURES_MAX = 40 };

/* ---- ctl_check_child.c */
void check_stage(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
size_t check_failures(void);

/* ---- ctl_check_run.c */
/* Everything that needs an instance. Returns the number of capabilities. */
size_t check_plugin(const mig_plugin *plugin);

/* ---- ctl_elf.c */
struct elf_symbols {
    size_t undefined, exports; /* undefined mig_*; defined ones beside the entry */
    char an_undefined[96], an_export[96];
    bool has_entry;
};
/* Reads .dynsym of a shared object for this machine. false: why says what it is instead. */
bool elf_read(const char *path, struct elf_symbols *ret, const char **why);
/* The same on bytes; `self` is the head of a program for this machine. */
bool elf_scan(str file, str self, struct elf_symbols *ret, const char **why);

/* ---- ctl_gen.c */
enum gen_kind {
    GEN_REQUIRED, /* valid: what is required, and nothing else */
    GEN_ALL,      /* valid: every property                     */
    GEN_EMPTY,    /* {}                                        */
    GEN_QUOTES,   /* strings that break out of quoting         */
    GEN_UNICODE,  /* strings of odd characters                 */
    GEN_FORMAT,   /* strings that mean something elsewhere     */
    GEN_HUGE,     /* one string of 1 MiB                       */
    GEN_DEEP,     /* a member of 100 levels                    */
    GEN_KINDS
};
const char *gen_name(enum gen_kind kind);
/* A payload for the schema (empty: none) as JSON text. Patterns are not understood. */
void gen_input(struct buf *out, str schema, enum gen_kind kind);
#endif
