#include "net/post.h"
#include "base/check.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_MS = 3000 };

/* --- the library -------------------------------------------------------------------------------- */

static struct {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_perform) *easy_perform;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
    bool is_ready;
} curl;

static void load(void)
{
    static const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"curl_global_init", &curl.global_init},       {"curl_easy_init", &curl.easy_init},
        {"curl_easy_setopt", &curl.easy_setopt},       {"curl_easy_perform", &curl.easy_perform},
        {"curl_easy_getinfo", &curl.easy_getinfo},     {"curl_easy_strerror", &curl.easy_strerror},
        {"curl_easy_cleanup", &curl.easy_cleanup},     {"curl_slist_append", &curl.slist_append},
        {"curl_slist_free_all", &curl.slist_free_all},
    };
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL); // never closed

    for (size_t i = 0; library && i < countof(symbols); i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            return;
        memcpy(symbols[i].to, &symbol, sizeof symbol);
    }
    curl.is_ready = library && curl.global_init(CURL_GLOBAL_ALL) == CURLE_OK;
}

/* --- one connection ----------------------------------------------------------------------------- */

struct post {
    CURL *easy;
    struct curl_slist *headers;
    bool (*stop)(void *arg);
    void *arg;
    char error[CURL_ERROR_SIZE];
};

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * n; // what the collector has to say beside its status is not read
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct post *p = arg;

    (void)a, (void)b, (void)c, (void)d;
    return p->stop(p->arg);
}

static void set_up(struct post *p, const char *url)
{
    CURL *h = p->easy;

    curl.easy_setopt(h, CURLOPT_URL, url);
    curl.easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl.easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl.easy_setopt(h, CURLOPT_USERAGENT, "migd/" MIGD_VERSION);
    curl.easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl.easy_setopt(h, CURLOPT_HTTPHEADER, p->headers);
    curl.easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl.easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl.easy_setopt(h, CURLOPT_XFERINFODATA, p);
    curl.easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl.easy_setopt(h, CURLOPT_ERRORBUFFER, p->error);
}

struct post *post_new(const char *url, const char *const *headers, bool (*stop)(void *arg),
                      void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    CURL *easy = curl.is_ready ? curl.easy_init() : NULL;
    if (!easy)
        return NULL;
    struct post *p = calloc(1, sizeof *p);
    must(p);
    p->easy = easy;
    p->stop = stop;
    p->arg = arg;
    for (; *headers; headers++)
        p->headers = curl.slist_append(p->headers, *headers);
    set_up(p, url);
    return p;
}

void post_free(struct post *p)
{
    if (!p)
        return;
    curl.easy_cleanup(p->easy);
    curl.slist_free_all(p->headers);
    free(p);
}

bool post_send(struct post *p, str body, unsigned timeout_ms, struct post_answer *ret)
{
    long status = 0;

    p->error[0] = 0;
    curl.easy_setopt(p->easy, CURLOPT_POSTFIELDS, body.ptr);
    curl.easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl.easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    CURLcode code = curl.easy_perform(p->easy);
    curl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret = (struct post_answer){.status = code == CURLE_OK ? (unsigned)status : 0};
    if (code != CURLE_OK)
        snprintf(ret->detail, sizeof ret->detail, "%s",
                 p->error[0] ? p->error : curl.easy_strerror(code));
    return code == CURLE_OK;
}
