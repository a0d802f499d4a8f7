/* build.h: from files to a generation that nobody serves yet: what is read, and which instances are kept,
 * made, described and started for it. Private to main/: reload.c runs one at a time and publishes it. */
#ifndef MAIN_BUILD_H
#define MAIN_BUILD_H
#include "main/reload.h"

struct plan;
struct tls_tickets;

/* What all builds of a daemon have in common. */
struct build_site {
    struct core *core;
    struct modules *modules;
    struct settings_source src;
    struct tls_tickets *tickets;
    char *capabilities; /* the admin upserts in force, a JSON array; changes between builds */
};

/* What one build makes. Job thread while it builds, control thread before and after. */
struct build {
    const struct build_site *site;
    struct reload_ask ask;
    const struct gen *old;
    struct diag d;
    struct settings *settings;
    struct manifest *manifest;
    struct plan *plan;
    struct tls_context *tls;
    struct jwks *keys;           /* of files; NULL: mode none */
    struct instance **instances; /* per wanted of the plan */
    struct str_list blocked;     /* plugin ids that were abandoned too often */
    bool *is_new;
    struct gen *gen;
    uint64_t began_ns, built_ns;
};

/* Control thread. Borrows the texts of ask. */
void build_init(struct build *b, const struct build_site *site, const struct reload_ask *ask);
/* Job thread. What went wrong is in d; nothing is published or given away. */
void build_run(struct build *b);
/* Job thread: destroy() may block. Ends all that the build made. */
void build_discard(struct build *b);
/* Control thread: the plan and what came of it, as JSON. adopted_ns: 0 when it was not. */
void build_report(const struct build *b, struct buf *out, uint64_t adopted_ns);
/* Control thread. What a generation took over is its own. */
void build_deinit(struct build *b);
#endif
