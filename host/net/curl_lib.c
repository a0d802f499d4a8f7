#include "net/curl_lib.h"
#include "base/check.h"
#include "base/lazy.h"

#include <pthread.h>

static struct curl_lib library;

static const struct lazy_symbol symbols[] = {
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
static struct lazy lazy = {"libcurl.so.4", symbols, countof(symbols)};
static bool is_ready;

static void load(void)
{
    is_ready = lazy_load(&lazy, NULL) && library.global_init(CURL_GLOBAL_ALL) == CURLE_OK;
}

const struct curl_lib *curl_lib(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return is_ready ? &library : NULL;
}
