#include "net/post.h"
#include "base/check.h"
#include "net/curl_lib.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_MS = 3000 };

/* --- one connection ----------------------------------------------------------------------------- */

struct post {
    const struct curl_lib *curl;
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
    const struct curl_lib *curl = p->curl;
    CURL *h = p->easy;

    curl->easy_setopt(h, CURLOPT_URL, url);
    curl->easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl->easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl->easy_setopt(h, CURLOPT_USERAGENT, "migd/" MIGD_VERSION);
    curl->easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl->easy_setopt(h, CURLOPT_HTTPHEADER, p->headers);
    curl->easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl->easy_setopt(h, CURLOPT_XFERINFODATA, p);
    curl->easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl->easy_setopt(h, CURLOPT_ERRORBUFFER, p->error);
}

struct post *post_new(const char *url, const char *const *headers, bool (*stop)(void *arg),
                      void *arg)
{
    const struct curl_lib *curl = curl_lib();
    CURL *easy = curl ? curl->easy_init() : NULL;

    if (!easy)
        return NULL;
    struct post *p = calloc(1, sizeof *p);
    must(p);
    p->curl = curl;
    p->easy = easy;
    p->stop = stop;
    p->arg = arg;
    for (; *headers; headers++)
        p->headers = curl->slist_append(p->headers, *headers);
    set_up(p, url);
    return p;
}

void post_free(struct post *p)
{
    if (!p)
        return;
    p->curl->easy_cleanup(p->easy);
    p->curl->slist_free_all(p->headers);
    free(p);
}

bool post_send(struct post *p, str body, unsigned timeout_ms, struct post_answer *ret)
{
    const struct curl_lib *curl = p->curl;
    long status = 0;

    p->error[0] = 0;
    curl->easy_setopt(p->easy, CURLOPT_POSTFIELDS, body.ptr);
    curl->easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl->easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    CURLcode code = curl->easy_perform(p->easy);
    curl->easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret = (struct post_answer){.status = code == CURLE_OK ? (unsigned)status : 0};
    if (code != CURLE_OK)
        snprintf(ret->detail, sizeof ret->detail, "%s",
                 p->error[0] ? p->error : curl->easy_strerror(code));
    return code == CURLE_OK;
}
