/* list.h: intrusive doubly linked ring and a singly linked queue. No ownership. */
#ifndef BASE_LIST_H
#define BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}
static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}
/* Puts n at the end of the ring whose head is l. */
static inline void list_push(struct list *l, struct list *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}
/* Takes n out of its ring; harmless when it is in none but its own. */
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
/* Moves all of from into the empty head to. */
static inline void list_take(struct list *to, struct list *from)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->prev->next = to;
    to->next->prev = to;
    list_init(from);
}

/* A piece of work: run once by whoever takes it from its queue. Embedded in what it works on. */
struct task {
    struct task *next;
    void (*run)(struct task *t);
};

struct task_queue {
    struct task *first, **last; /* last NULL stands for an empty queue that was zeroed */
};

static inline void task_push(struct task_queue *q, struct task *t)
{
    t->next = NULL;
    if (!q->first)
        q->last = &q->first;
    *q->last = t;
    q->last = &t->next;
}
static inline struct task *task_pop(struct task_queue *q)
{
    struct task *t = q->first;
    if (t)
        q->first = t->next;
    return t;
}
#endif
