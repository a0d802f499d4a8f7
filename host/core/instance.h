/* instance.h: one configured provider, made by create(). Shared by the generations that hold it.
 *
 * Debt = calls not yet ended + host operations whose callback has not run. An instance without a
 * generation stops its timers, is quiesced, waits for debt 0 and is destroyed; one whose debt stays
 * is abandoned after a grace and never touched again. */
#ifndef CORE_INSTANCE_H
#define CORE_INSTANCE_H
#include "base/buf.h"
#include "base/diag.h"
#include "base/list.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "mig/ext/http.h"
#include "mig/ext/observe.h"
#include "mig/ext/timer.h"
#include "mig/plugin.h"

#include <stdatomic.h>

struct core;
struct gen;
struct catalogue;

enum instance_state {
    INSTANCE_CREATED,
    INSTANCE_SERVING,
    INSTANCE_DRAINING,
    INSTANCE_DESTROYED,
    INSTANCE_ABANDONED
};

struct instance_debt {
    _Alignas(64) _Atomic int64_t n; /* written by one loop */
};

/* Identity and lifetime: control thread. Handlers: see the ABI's thread tags. */
struct instance {
    char *name;        /* providers.<name>, unique in a generation      */
    char *identity;    /* module digest, name, plugin id, limits, config */
    uint64_t sources;  /* hash of the files it read                     */
    char *config;      /* what create() got; it may outlive the reload */
    char *source;      /* "hello.so", "weather.lua", "built-in"         */
    mig_plugin plugin; /* own copy; members the module lacks are zero   */
    void *self;
    mig_host host; /* what the plugin sees; host.ctx is this        */
    void *module;  /* abi/: kept loaded as long as this             */
    void (*module_unref)(void *module);
    struct core *core;
    bool may_control;                /* granted mig.control/1                         */
    _Atomic(struct diag *) findings; /* [life] while create() and describe() run      */
    bool is_started;
    uint64_t max_concurrency, queue;
    struct pool_share share;
    struct gate *gates; /* lifecycle and control threads                 */
    _Atomic int state;  /* enum instance_state                           */
    unsigned refs;      /* generations that hold it; control             */
    uint64_t since_ms, drain_since_ms, drain_grace_ms;
    struct instance_debt *debt; /* per loop, [0..loop_count); last: all other threads */
    _Atomic uint64_t calls, errors;
    struct log_budget {
        _Atomic uint64_t window;
        _Atomic unsigned count;
    } log_budget;
    _Atomic int health; /* -1 unknown, 0 unhealthy, 1 healthy            */
    _Atomic(char *) health_text;
    struct list in_core;    /* all instances not destroyed; control          */
    struct ticker *tickers; /* timers and probes that run; control           */
};

/* [any], on behalf of the instance. */
void instance_debt_add(struct instance *i, int64_t n);
int64_t instance_debt(const struct instance *i);

const char *instance_state_name(int state);
void instance_free(struct instance *i);

/* The instance's thread-local blame: who is running. Returns what to put back. */
const char *instance_enter(struct instance *i);
void instance_leave(const char *before);
#endif
