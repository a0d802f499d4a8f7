/* node.h: the running daemon: threads, listeners, core, reloader. One per process; the wiring. */
#ifndef MAIN_NODE_H
#define MAIN_NODE_H
#include "main/reload.h"
#include "net/listener.h"

struct otlp;
struct watch;

/* mig.addr, and tls.addr when there is one beside it. */
enum { LISTENER_MAIN, LISTENER_TLS, LISTENERS };

struct node_loop {
    struct node *node;
    struct loop *loop;
    struct net_loop *net;
    struct listener *listeners[LISTENERS]; /* NULL: none, or stopped */
    uv_thread_t thread;
    uv_sem_t ready;
};

struct node {
    struct settings_source src;
    struct loop *control;
    struct loop **loops;
    struct node_loop *per_loop;
    struct net_loop **nets;
    size_t loop_count;
    struct core *core;
    struct store *store;
    struct modules *modules;
    struct reloader *reloader;
    struct listener_set *listeners[LISTENERS];
    struct watch *watch;
    struct otlp *otlp;
    uint64_t started_ms;
    uint64_t stop_ms; /* how long calls may go on after a stop was asked for */
    struct timer stop_timer, redescribe;
    struct timer session_look;
    struct conformance *conformance; /* control_conformance.c; NULL: nobody has asked */
    bool is_forced;                  /* the stop did not wait for everybody */
    bool is_ready;                   /* control: the first generation serves */
    int exit_code;
    uv_signal_t *signals;
};

/* Serve until told to stop. s: as loaded for the start. Returns the exit code. *ret_is_forced: plugins
 * still run on threads of ours, so the process must end without clean-up. */
int node_run(const struct settings_source *src, const struct settings *s, bool *ret_is_forced);

/* Control thread. node_stop.c */
void node_stop(struct node *n, int exit_code);
/* control.c: what mig.control/1 can do. */
void control_verb(struct core *core, const struct principal *who, str verb, str args,
                  void (*done)(void *arg, mig_status status, str json, str message, str details),
                  void *arg);
struct node *node_of(struct core *core);

/* --- between node.c, node_stop.c, node_data.c and node_sessions.c; before the loops run, or on control --- */

void node_signals_close(struct node *n);
/* NULL, and findings: it cannot be opened. */
struct store *node_open_store(const struct settings *s, struct diag *d);
/* What the node knew when it stopped, and what operators registered. false: it was printed why. */
bool node_load_data(struct node *n, const struct settings *s);
bool node_load_registries(struct node *n, const struct settings *s);
void node_close_data(struct node *n);
/* From now on sessions that miss their heartbeats are missed. */
void node_watch_sessions(struct node *n);
#endif
