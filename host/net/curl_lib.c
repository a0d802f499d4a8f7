#include "net/curl_lib.h"
#include "base/check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static struct curl_lib library;
static bool is_ready;

static void load(void)
{
    static const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"curl_global_init", &library.global_init},
        {"curl_easy_init", &library.easy_init},
        {"curl_easy_setopt", &library.easy_setopt},
        {"curl_easy_perform", &library.easy_perform},
        {"curl_easy_getinfo", &library.easy_getinfo},
        {"curl_easy_strerror", &library.easy_strerror},
        {"curl_easy_cleanup", &library.easy_cleanup},
        {"curl_slist_append", &library.slist_append},
        {"curl_slist_free_all", &library.slist_free_all},
    };
    void *file = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL); // never closed

    for (size_t i = 0; file && i < countof(symbols); i++) {
        void *symbol = dlsym(file, symbols[i].name);
        if (!symbol)
            return;
        memcpy(symbols[i].to, &symbol, sizeof symbol);
    }
    is_ready = file && library.global_init(CURL_GLOBAL_ALL) == CURLE_OK;
}

const struct curl_lib *curl_lib(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return is_ready ? &library : NULL;
}
