/* engine.h: the nouns of the Lua engine, a plugin that turns scripts into capabilities.
 *
 *   engine   one provider: a script, its registrations, one state per event loop
 *   state    a lua_State with its memory budget, used by one loop only
 *   run      one call (invocation or timer tick) inside a state
 *   co       a pooled coroutine; a run has one, and one more per function of mig.all
 *
 *   host ----invoke/done/on_*----> run.c ----lua_resume----> script ----mig.*----> api_*.c
 *   host <---finish/send/kv/...--- run.c <---yield---------- script <------------- api_*.c
 *
 * Nothing here is locked: a state belongs to its loop. describe() reads only what create() left. */
#ifndef LUA_ENGINE_H
#define LUA_ENGINE_H
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "mig/ext/invoke.h"
#include "mig/ext/kv.h"
#include "mig/ext/loop.h"
#include "mig/ext/sources.h"
#include "mig/ext/stream.h"
#include "mig/ext/task.h"
#include "mig/ext/timer.h"
#include "mig/plugin.h"

#include "blocks.h"

enum {
    JSON_DEPTH = 128,
    SLICE_US = 1000,               /* a stretch of work after which a script gives way      */
    SHORT_SLICE_US = 50,           /* the same when it has had to give way lately           */
    LATELY_MS = 10000,             /* so long                                               */
    CALLBACK_US = 10000,           /* the same where it cannot: sort, gsub, <close>         */
    LOAD_MS = 1000,                /* for the top level of a script                         */
    CPU_MS_DEFAULT = 50,           /* per call, over all its slices                         */
    MEMORY_KB_DEFAULT = 16 * 1024, /* per state                                             */
    SCRIPT_MAX = 1024 * 1024,
    STRING_MAX = 8 * 1024 * 1024, /* result of string.rep, table.concat, string.format     */
    PATTERN_STEPS = 1000000,      /* per call of find, match, gsub; per match of gmatch    */
    RUN_COS = 256,                /* coroutines of a call, alive at a time                 */
    RUN_BUCKETS = 256
};

/* A buffer with a limit, reused for the life of its owner. */
struct buf {
    char *ptr;
    size_t len, cap, limit;
};
bool buf_add(struct buf *b, const char *ptr, size_t len); /* false: over the limit */
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_add_quoted(struct buf *b, const char *ptr, size_t len); /* false also: not UTF-8 */
void buf_deinit(struct buf *b);

struct source {
    char *path;  /* absolute, no links                                 */
    char *shown; /* relative to the script's folder: the chunk name    */
    char *text;
    size_t len;
};

struct cap_def { /* a capability as state 0 registered it; immutable after create() */
    struct engine *engine;
    uint32_t index;
    char *id, *version, *summary, *input, *output, *meta;
    char **scopes; /* NULL-terminated, or NULL */
    char *canon;   /* what the other states must register too */
    uint32_t modes, max_concurrency, timeout_ms, cpu_ms, memory_kb;
};

struct timer_def {
    struct engine *engine;
    uint32_t index;
    uint64_t every_ms;
    char name[24];
};

struct engine {
    const mig_host *host;
    const mig_ext_loop *loop; /* any of these may be NULL */
    const mig_ext_task *task;
    const mig_ext_kv *kv;
    const mig_ext_invoke *invoke;
    const mig_ext_stream *stream;
    char *name, *dir;
    char *config; /* JSON text of the script's own configuration */
    uint32_t cpu_ms;
    size_t memory_bytes;
    struct source *sources;
    uint32_t source_count;
    struct cap_def *caps;
    uint32_t cap_count;
    struct timer_def *timers;
    uint32_t timer_count;
    struct state **states;
    uint32_t state_count;
};

enum wait { WAIT_NONE, WAIT_SLICE, WAIT_OP, WAIT_WRITABLE, WAIT_MESSAGE, WAIT_ALL, WAIT_GONE };
enum over { OVER_NO, OVER_CPU, OVER_CALLBACK };

/* A coroutine. Slots are never freed before the state is, so a stale ticket finds its slot with
 * another generation, not other memory. */
struct co {
    struct state *st;
    lua_State *L; /* NULL: none made yet, or dropped after an abnormal end */
    int ref;
    uint32_t slot, gen;
    enum wait wait;
    bool is_ready, is_done;
    struct run *run;
    struct co *parent;   /* mig.all: who waits for this one      */
    struct co *children; /* mig.all: in order                    */
    struct co *sibling;
    uint32_t pending;    /* children that have not ended         */
    int child_status;    /* of a child that ended                */
    struct co *run_next; /* all coroutines of the run            */
    struct co *next;     /* free list, or queue of ready ones    */
    const void *in;      /* outcome, only during the resume that brings it */
};

struct message {
    struct message *next;
    size_t len;
    char text[];
};

/* A call. Pooled like coroutines; gen tells a stale call object. */
struct run {
    struct state *st;
    mig_call call;
    const mig_request *req;    /* NULL: a timer tick, or the call has ended */
    const struct cap_def *cap; /* NULL: a timer tick                        */
    const struct timer_def *timer;
    uint32_t gen;
    enum over over;
    bool is_finished, is_gone, is_closing, is_half_closed, is_out_of_memory;
    mig_status code; /* MIG_OK: st->out is the result; else the error */
    uint32_t retry_after_ms;
    uint64_t cpu_ns, cpu_budget_ns, start_ns;
    struct co *main, *cos;
    uint32_t co_count;
    struct co *ready_head, *ready_tail;
    struct message *msg_head, *msg_tail;
    uint32_t msg_count;
    struct run *hash_next, *free_next;
};

struct state {
    struct engine *engine;
    uint32_t index;
    lua_State *L;
    struct blocks blocks;
    size_t used, limit, soft_limit; /* bytes; soft_limit <= limit during a slice */
    bool is_loading;
    uint64_t load_until_ns;
    uint32_t loaded_caps, loaded_timers;
    int *cap_refs, *timer_refs;
    int env_ref, mig_ref, call_mt_ref, methods_ref, array_mt_ref, error_mt_ref, modules_ref;

    struct co **slots;
    uint32_t slot_count, slot_cap;
    struct co *free_cos;
    struct run *free_runs;
    struct run *runs[RUN_BUCKETS];
    uint64_t late; /* completions that were refused */

    struct buf out;  /* JSON on its way out                   */
    struct buf text; /* error messages, log lines             */
    void *doc;       /* yyjson document being read            */
    char *doc_pool;

    /* The slice in progress (budget.c). */
    struct co *slice_co;
    uint64_t slice_t0;
    uint64_t greedy_until_ns; /* it had to give way lately      */
    uint32_t slice_us;        /* after which it gives way again */
    uint64_t strike_cpu_ns;   /* thread CPU clock at the watchdog's first strike; 0: none */
    uint64_t strike_cost_ns;  /* what the slice had cost by then */
    bool is_armed;
    atomic_bool firing, acked, fired;
};

/* engine.c */
void engine_log(struct engine *e, uint32_t level, const char *msg, const char *fields, size_t len);
struct state *engine_here(struct engine *e); /* the state of this loop; NULL: not on a loop */

/* load.c: files, the top level, require. */
mig_status load_script(struct engine *e, const char *path);
mig_status load_state(struct state *st); /* logs FILE:LINE: text on failure */
int load_require(lua_State *L);
void load_report_file(struct engine *e, const char *path, const char *text);

/* state.c */
struct state *state_new(struct engine *e, uint32_t index);
void state_free(struct state *st);
struct state *state_of(lua_State *L);

static inline struct co *co_of(lua_State *L) /* NULL: the main thread, i.e. loading */
{
    return *(struct co **)lua_getextraspace(L);
}

/* sandbox.c, tablelib.c, strlib.c: fill the environment of scripts. */
void sandbox_open(lua_State *L, struct state *st); /* leaves the environment on the stack */
void tablelib_open(lua_State *L);                  /* the same with the table library     */
void strlib_open(lua_State *L);                    /* the string library                  */

/* pattern.c, pattern_match.c: own string.find, match, gmatch, gsub. */
extern const luaL_Reg pattern_functions[];

/* definition.c: raise; what was read until then is in *d and to be freed. */
extern const char *const definition_keys[];
void definition_read(lua_State *L, struct state *st, struct cap_def *d);
void definition_deinit(struct cap_def *d);
void definition_check_keys(lua_State *L, int table, const char *what, const char *const *known);
const char *near_match(const char *word, const char *const *known); /* NULL: none is near  */

/* capability.c */
int capability_declare(lua_State *L); /* mig.capability{...}                      */
int capability_every(lua_State *L);   /* mig.every(ms, f)                         */
void capability_settle(lua_State *L, struct state *st); /* after the top level; raises     */
mig_status capability_describe(struct engine *e, const mig_registrar *reg);
void capability_free(struct engine *e);

/* run.c: the host's callbacks and what leads a call to its end. */
void run_invoke(void *self, void *data, mig_call call, const mig_request *req);
void run_on_cancel(void *self, void *data, mig_call call);
void run_on_writable(void *self, void *data, mig_call call);
void run_on_message(void *self, void *data, mig_call call, mig_str json);
void run_on_half_close(void *self, void *data, mig_call call);
void run_on_tick(void *self, void *data, mig_call tick);
void run_done(void *self, void *tag, const mig_outcome *out);
void run_kv_done(void *self, void *tag, const mig_kv_result *r);
void run_deinit(struct state *st);

/* settle.c */
int settle_main(lua_State *L); /* what a call's coroutine runs */
void settle_fail(struct run *run, mig_status code, const char *message, const char *reason);
void settle_fail_script(struct run *run, const char *text, size_t len); /* text: for the log */

/* co.c: coroutines and tickets. */
struct co *co_take(struct state *st, struct run *run); /* NULL: out of memory               */
void co_release(struct co *co);
void co_close(struct co *co);   /* runs its <close> variables, then releases it and its children */
void *co_ticket(struct co *co); /* for one suspension                */
struct co *co_of_ticket(struct engine *e, void *tag); /* NULL: the suspension is over      */
void co_make_ready(struct co *co);
struct co *co_may_wait(lua_State *L, const char *what); /* raises when it may not           */

/* budget.c */
void slice_begin(struct state *st, struct co *co);
void slice_end(struct state *st);
void budget_tick(lua_State *L);  /* for callbacks from C: raises when 10 ms or the budget is up */
void budget_check(lua_State *L); /* for long work in C: raises when the budget is used up */
void budget_load_begin(struct state *st);
void budget_load_end(struct state *st);

/* json_read.c, json_write.c */
bool json_push(lua_State *L, struct state *st, const char *ptr, size_t len, const char **ret_why);
void json_write(lua_State *L, struct state *st, int index, const char *what); /* to st->out */
void json_write_sorted(lua_State *L, struct state *st, int index, const char *what);

/* api_*.c */
void api_open(lua_State *L, struct state *st);      /* leaves the mig table on the stack    */
void api_call_open(lua_State *L, struct state *st); /* the call object                      */
void api_call_push(lua_State *L, struct run *run);
void api_log_open(lua_State *L); /* adds mig.log to the table on top     */
int api_wait_sleep(lua_State *L);
int api_wait_invoke(lua_State *L);
int api_wait_all(lua_State *L);
void api_wait_open_kv(lua_State *L);    /* adds mig.kv to the table on top      */
bool error_is(lua_State *L, int index); /* made by mig.error or by the engine?  */
void error_push(lua_State *L, mig_status code, mig_str message, mig_str details,
                uint32_t retry_after_ms);
mig_status error_code(const char *name, size_t len); /* 0: no such code                     */
int error_make(lua_State *L);                        /* mig.error(code, message, details)   */

#endif
