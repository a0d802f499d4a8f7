/* gen.h: generations. Everything a request must know about the configuration is one immutable
 * object, pinned when the request is admitted by a plain counter of its loop. A new one is published
 * by a message to each loop; the old one is freed when no loop has a request on it. */
#ifndef CORE_GEN_H
#define CORE_GEN_H
#include "base/map.h"
#include "core/catalogue.h"
#include "core/policy.h"
#include "loop/loop.h"

struct core;

/* All versions of one id, newest first. */
struct capability_family {
    struct capability **versions;
    size_t count;
};

struct gen_pin {
    _Alignas(64) uint64_t pins; /* owner: its loop */
    uint64_t retired_ms;
    bool is_retired;
};

struct gen {
    uint64_t number;
    struct core *core;
    struct policy policy;
    void *settings, *manifest;          /* config/: kept for comparison and display */
    void (*free_config)(struct gen *g); /* frees the two                            */
    struct arena_pool *pool;            /* of the arenas below                      */
    struct arena *arena;
    struct catalogue **catalogues;
    size_t catalogue_count;
    struct capability **capabilities; /* all, by id in byte order, then newest    */
    size_t capability_count;
    struct map families; /* id -> struct capability_family           */
    const void *edge;    /* edge/: struct front_config, in arena     */
    void *routes;        /* edge/: compiled route table              */
    void (*free_routes)(void *routes);
    uint64_t created_ms, published_ms;
    _Atomic unsigned holders; /* loops that may still use it, + control   */
    struct gen_pin *pins;     /* per loop                                 */
    struct list in_core;
};

struct gen *gen_new(struct core *core);
/* Lifecycle thread: takes the catalogues; false: d says which capabilities collide. */
bool gen_take_catalogues(struct gen *g, struct catalogue **list, size_t count, struct diag *d);
/* Not published, or no longer held by any loop. Control thread. Drops its instances. */
void gen_free(struct gen *g);

/* Loop thread. */
struct gen *gen_pin(struct gen *g, struct loop *l);
void gen_unpin(struct gen *g, struct loop *l);
/* Loop thread: the generation for new requests. */
struct gen *gen_current(struct core *core, struct loop *l);

/* Control thread. Tell all loops; done(arg) on the control thread when all have adopted it. */
void gen_publish(struct gen *g, void (*done)(void *arg), void *arg);
/* Control thread. The end of the node: no loop has a generation any more; the last one is freed when
 * its requests are over. No request may come after this. */
void gen_retire_last(struct core *core);
#endif
