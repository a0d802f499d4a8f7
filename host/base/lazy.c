#include "base/lazy.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void look_up(struct lazy *l)
{
    void *file = dlopen(l->file, RTLD_NOW | RTLD_LOCAL); // never closed

    if (!file)
        snprintf(l->why, sizeof l->why, "%s", dlerror());
    for (size_t i = 0; file && i < l->count; i++) {
        void *symbol = dlsym(file, l->symbols[i].name);
        if (!symbol)
            snprintf(l->why, sizeof l->why, "%s has no %s", l->file, l->symbols[i].name);
        else
            memcpy(l->symbols[i].to, &symbol, sizeof symbol);
    }
}

bool lazy_load(struct lazy *l, const char **ret_why)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all: a load is rare */

    pthread_mutex_lock(&lock);
    if (!l->was_tried)
        look_up(l);
    l->was_tried = true;
    pthread_mutex_unlock(&lock);
    if (ret_why)
        *ret_why = l->why;
    return !l->why[0];
}
