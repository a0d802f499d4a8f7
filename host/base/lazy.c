#include "base/lazy.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool lazy_open(struct lazy *l)
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
    return !l->why[0];
}

bool lazy_load(struct lazy *l, void (*load)(void))
{
    pthread_once(&l->once, load);
    return !l->why[0];
}
