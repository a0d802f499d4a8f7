#include "core/gate.h"
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

struct waiter {
    struct list link;
    struct loop *home;
    struct task *task;
};

struct gate {
    pthread_mutex_t lock;
    char *capability;
    size_t limit, queue, running, waiting;
    struct list waiters;
    struct gate *next; /* of the same instance */
};

static struct gate *gate_new(const char *capability)
{
    struct gate *g = calloc(1, sizeof *g);

    must(g && pthread_mutex_init(&g->lock, NULL) == 0);
    g->capability = str_dup(str_of(capability));
    list_init(&g->waiters);
    return g;
}

struct gate *gate_of(struct instance *i, const char *capability, size_t limit, size_t queue)
{
    struct gate *g = i->gates;

    while (g && strcmp(g->capability, capability) != 0)
        g = g->next;
    if (!g) {
        g = gate_new(capability);
        g->next = i->gates;
        i->gates = g;
    }
    pthread_mutex_lock(&g->lock);
    g->limit = limit;
    g->queue = queue;
    pthread_mutex_unlock(&g->lock);
    return g;
}

void gates_free(struct instance *i)
{
    for (struct gate *g = i->gates, *next; g; g = next) {
        next = g->next;
        pthread_mutex_destroy(&g->lock);
        free(g->capability);
        free(g);
    }
    i->gates = NULL;
}

enum gate_answer gate_enter(struct gate *g, struct loop *home, struct task *t)
{
    enum gate_answer answer = GATE_FULL;

    pthread_mutex_lock(&g->lock);
    if (g->running < g->limit) {
        g->running++;
        answer = GATE_PASS;
    } else if (g->waiting < g->queue) {
        struct waiter *w = malloc(sizeof *w);
        must(w);
        *w = (struct waiter){.home = home, .task = t};
        list_push(&g->waiters, &w->link);
        g->waiting++;
        answer = GATE_WAIT;
    }
    pthread_mutex_unlock(&g->lock);
    return answer;
}

void gate_leave(struct gate *g)
{
    struct waiter *w = NULL;

    pthread_mutex_lock(&g->lock);
    if (g->running <= g->limit && !list_is_empty(&g->waiters)) {
        w = container_of(g->waiters.next, struct waiter, link);
        list_remove(&w->link);
        g->waiting--; /* it takes the place of the one that leaves */
    } else {
        g->running--;
    }
    pthread_mutex_unlock(&g->lock);
    if (w) {
        loop_post(w->home, w->task);
        free(w);
    }
}

bool gate_give_up(struct gate *g, struct task *t)
{
    bool was_waiting = false;

    pthread_mutex_lock(&g->lock);
    for (struct list *l = g->waiters.next; l != &g->waiters; l = l->next) {
        struct waiter *w = container_of(l, struct waiter, link);
        if (w->task != t)
            continue;
        list_remove(&w->link);
        g->waiting--;
        free(w);
        was_waiting = true;
        break;
    }
    pthread_mutex_unlock(&g->lock);
    return was_waiting;
}
