#include "core/tenants.h"
#include "base/check.h"

#include <stdlib.h>

struct tenants {
    struct stripe_map map;
    _Atomic size_t count;
    struct tenant shared;
};

static bool equal(const struct stripe_item *item, const void *key)
{
    const struct tenant *t = container_of(item, struct tenant, item);
    return str_eq(str_of(t->name), *(const str *)key);
}

struct tenants *tenants_new(void)
{
    struct tenants *t = stripe_alloc(sizeof *t);

    stripe_init(&t->map, equal);
    return t;
}

static void free_tenant(void *arg, struct stripe *s, struct stripe_item *item)
{
    (void)arg;
    (void)s;
    free(container_of(item, struct tenant, item));
}

void tenants_free(struct tenants *t)
{
    if (!t)
        return;
    stripe_each(&t->map, free_tenant, NULL);
    stripe_deinit(&t->map);
    free(t);
}

static struct tenant *record_new(struct tenants *all, str name)
{
    struct tenant *t = NULL;

    if (name.len < sizeof t->name && atomic_fetch_add(&all->count, 1) < TENANTS_MAX)
        t = calloc(1, sizeof *t);
    if (t)
        memcpy(t->name, name.ptr, name.len);
    return t;
}

struct tenant *tenant_of(struct tenants *all, str name)
{
    uint64_t hash = str_hash(name);
    struct stripe *s = stripe_lock(&all->map, hash);
    struct stripe_item *item = stripe_find(&all->map, s, hash, &name);
    struct tenant *t = item ? container_of(item, struct tenant, item) : NULL;

    if (!t && atomic_load(&all->count) < TENANTS_MAX && (t = record_new(all, name)) &&
        !stripe_add(s, &t->item, hash)) {
        free(t);
        t = NULL;
    }
    stripe_unlock(s);
    return t ? t : &all->shared;
}

struct tenant *tenant_find(struct tenants *all, str name)
{
    uint64_t hash = str_hash(name);
    struct stripe *s = stripe_lock(&all->map, hash);
    struct stripe_item *item = stripe_find(&all->map, s, hash, &name);

    stripe_unlock(s);
    return item ? container_of(item, struct tenant, item) : NULL;
}

struct tenant *tenant_shared(struct tenants *all)
{
    return &all->shared;
}

struct stripe *tenant_lock(struct tenants *all, struct tenant *of)
{
    return stripe_lock(&all->map, of->item.hash);
}

struct visitor {
    void (*visit)(struct tenant *t, void *arg);
    void *arg;
};

static void show(void *arg, struct stripe *s, struct stripe_item *item)
{
    const struct visitor *v = arg;

    (void)s;
    v->visit(container_of(item, struct tenant, item), v->arg);
}

void tenants_each(struct tenants *all, void (*visit)(struct tenant *t, void *arg), void *arg)
{
    struct stripe *s = tenant_lock(all, &all->shared);
    struct visitor v = {visit, arg};

    visit(&all->shared, arg);
    stripe_unlock(s);
    stripe_each(&all->map, show, &v);
}
