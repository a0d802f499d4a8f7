#include "ctl_http.h"

#include "base/clock.h"
#include "ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

enum { CONNECT_MS = 10000 };

struct http {
    const struct ctl *ctl;
    struct url url;
    CURLM *multi;
    bool has_moved; /* a job got bytes, or ended */
    char why[CURL_ERROR_SIZE];
};

struct http_job_parts {
    struct http *client;
    CURL *easy;
    struct curl_slist *heads;
    char *body; /* own copy */
    char why[CURL_ERROR_SIZE + 64];
};

struct http_wire {
    CURL *easy;
    curl_socket_t fd;
};

int64_t clock_ms(void)
{
    return (int64_t)(clock_now_ns() / 1000000u);
}

/* ---- the client -------------------------------------------------------------------------------
 */

struct http *http_new(const struct ctl *c)
{
    struct http *h = calloc(1, sizeof *h);
    const char *why;

    must(h && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    h->ctl = c;
    h->multi = curl_multi_init();
    must(h->multi);
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    if (url_parse(&h->url, c->url, &why))
        return h;
    usage_error("--url %s: %s", c->url, why);
    http_free(h);
    return NULL;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    curl_multi_cleanup(h->multi);
    curl_global_cleanup();
    free(h);
}

void http_freep(struct http **h)
{
    http_free(*h);
}

const struct url *http_url(const struct http *h)
{
    return &h->url;
}

static bool is_for_operators(const char *path)
{
    static const char *const prefixes[] = {"/admin/", "/pro/", "/cloud/", "/metrics"};

    for (size_t i = 0; i < countof(prefixes); i++)
        if (str_starts(str_of(path), str_of(prefixes[i])))
            return true;
    return false;
}

bool http_default_heads(const struct ctl *c, const char *path, struct buf *heads)
{
    CLEANUP(buf_deinit) struct buf bearer = {0};
    const char *bad = NULL;

    buf_init(&bearer, 65536);
    if (c->token)
        buf_addf(&bearer, "Bearer %s", c->token);
    buf_addc(&bearer, 0);
    if (bearer.has_failed)
        bad = "--token";
    else if (!head_add(heads, "Authorization", bearer.ptr))
        bad = "--token";
    else if (!head_add(heads, "X-Tenant-ID", c->tenant))
        bad = "--tenant";
    else if (!head_add(heads, "X-Actor", c->actor))
        bad = "--actor";
    else if (is_for_operators(path) && !head_add(heads, "X-Admin-API-Key", c->admin_key))
        bad = "--admin-key";
    if (bad)
        usage_error("%s: control characters are not allowed, nor values beyond 64 KiB", bad);
    return !bad;
}

/* What every connection has in common. The error text goes to `why` of CURL_ERROR_SIZE. */
static CURL *new_easy(const struct http *h, const char *path, char *why)
{
    const struct ctl *c = h->ctl;
    CURL *e = curl_easy_init();
    CLEANUP(buf_deinit) struct buf url = {0};
    bool is_v6 = strchr(h->url.host, ':') != NULL;

    must(e);
    buf_init(&url, 1 << 20);
    buf_addf(&url, "%s://%s%s%s:%s%s%s", h->url.is_tls ? "https" : "http", is_v6 ? "[" : "",
             h->url.host, is_v6 ? "]" : "", h->url.port, h->url.prefix, path);
    buf_addc(&url, 0);
    must(!url.has_failed && curl_easy_setopt(e, CURLOPT_URL, url.ptr) == CURLE_OK);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY,
                     ""); // the daemon is near, proxies of the browser are not meant
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "migctl/" MIGD_VERSION);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->is_insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (c->ca)
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca);
    if (c->cert)
        curl_easy_setopt(e, CURLOPT_SSLCERT, c->cert);
    if (c->cert_key)
        curl_easy_setopt(e, CURLOPT_SSLKEY, c->cert_key);
    return e;
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

static size_t on_head(char *at, size_t size, size_t n, void *arg)
{
    struct http_job *j = arg;
    str line = str_trim((str){at, n});
    long status = 0;

    (void)size; // 1
    if (j->status)
        return n; // trailers
    if (str_starts(line, S("HTTP/")))
        buf_clear(&j->head); // 100 Continue and its kind: the answer is still to come
    if (line.len)
        return buf_add(&j->head, line) && buf_addc(&j->head, '\n') ? n : 0;
    curl_easy_getinfo(j->parts->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) {
        j->parts->client->has_moved = true;
        j->status = (unsigned)status;
        j->head_ms = clock_ms();
    }
    return n;
}

static size_t on_body(char *at, size_t size, size_t n, void *arg)
{
    struct http_job *j = arg;

    (void)size; // 1
    j->parts->client->has_moved = true;
    return buf_add(&j->body, (str){at, n}) ? n : 0;
}

static void set_method(CURL *e, const struct http_ask *ask, const char *body)
{
    bool has_body = ask->body.ptr || !strcmp(ask->method, "POST");

    if (has_body) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.len);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
    }
    if (!strcmp(ask->method, "HEAD"))
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (strcmp(ask->method, has_body ? "POST" : "GET") != 0)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, ask->method);
}

/* A line "Name: " without a value is sent as such: libcurl would leave it out. */
static struct curl_slist *head_list(str heads)
{
    struct curl_slist *list = NULL;

    while (heads.len) {
        str line = str_trim(str_split(&heads, '\n'));
        char *z = str_dup(line);
        must(z);
        if (line.len && line.ptr[line.len - 1] == ':')
            z[line.len - 1] = ';';
        list = line.len ? curl_slist_append(list, z) : list;
        free(z);
    }
    return list;
}

static struct curl_slist *with_defaults(struct curl_slist *list, const struct http_ask *ask)
{
    if (ask->body.len && !head_find(ask->heads, "Content-Type").ptr)
        list = curl_slist_append(list, "Content-Type: application/json");
    else if (!ask->body.len)
        list = curl_slist_append(list, "Content-Type:");
    if (!head_find(ask->heads, "Expect").ptr)
        list = curl_slist_append(list, "Expect:"); // no second of waiting before large bodies
    must(list);
    return list;
}

/* libcurl before 8.0 (Debian 12) breaks an HTTP/2 connection that it uses again with prior knowledge
 * (curl#10634); later ones tell the server of a request that was given up only with the next one on
 * the connection. So each request gets its own. */
static void set_version(const struct http *h, CURL *e)
{
    long version = !h->ctl->is_http2 ? CURL_HTTP_VERSION_1_1
                   : h->url.is_tls   ? CURL_HTTP_VERSION_2TLS
                                     : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;

    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, version);
    if (version != CURL_HTTP_VERSION_1_1) {
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    }
}

struct http_job *http_start(struct http *h, const struct http_ask *ask)
{
    struct http_job *j = calloc(1, sizeof *j);
    struct http_job_parts *p = calloc(1, sizeof *p);

    must(j && p);
    j->parts = p;
    p->client = h;
    j->started_ms = clock_ms();
    buf_init(&j->head, HTTP_HEAD_MAX);
    buf_init(&j->body, HTTP_ANSWER_MAX);
    p->body = malloc(ask->body.len + 1);
    must(p->body);
    if (ask->body.len)
        memcpy(p->body, ask->body.ptr, ask->body.len);
    p->heads = with_defaults(head_list(ask->heads), ask);
    p->easy = new_easy(h, ask->path, p->why);
    curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->heads);
    set_version(h, p->easy);
    curl_easy_setopt(p->easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(p->easy, CURLOPT_HEADERDATA, j);
    curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(p->easy, CURLOPT_WRITEDATA, j);
    curl_easy_setopt(p->easy, CURLOPT_PRIVATE, j);
    curl_easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
    curl_easy_setopt(p->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    set_method(p->easy, ask, p->body);
    must(curl_multi_add_handle(h->multi, p->easy) == CURLM_OK);
    http_pump(h, -1, 0);
    return j;
}

void http_job_free(struct http *h, struct http_job *j)
{
    if (!j)
        return;
    curl_multi_remove_handle(h->multi, j->parts->easy);
    curl_easy_cleanup(j->parts->easy);
    curl_slist_free_all(j->parts->heads);
    free(j->parts->body);
    free(j->parts);
    buf_deinit(&j->head);
    buf_deinit(&j->body);
    free(j);
}

static void set_fault(struct http_job *j, CURLcode result)
{
    struct http_job_parts *p = j->parts;
    const char *text = *p->why ? p->why : curl_easy_strerror(result);
    long error = 0;

    curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &error);
    j->exit_code = CTL_FAILED;
    if (result == CURLE_COULDNT_CONNECT && error == ECONNREFUSED) {
        j->exit_code = CTL_NOT_RUNNING;
        text = "connection refused";
    } else if (result == CURLE_OPERATION_TIMEDOUT) {
        text = "no answer in time";
    } else if (j->body.has_failed || j->head.has_failed) {
        text = "the answer is too large";
    }
    j->fault = memmove(p->why, text, strlen(text) + 1);
}

static void finish_jobs(struct http *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct http_job *j = NULL;
        long version = 0;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &j);
        curl_easy_getinfo(m->easy_handle, CURLINFO_HTTP_VERSION, &version);
        h->has_moved = true;
        j->is_done = true;
        j->is_h2 = version == CURL_HTTP_VERSION_2_0;
        j->done_ms = clock_ms();
        if (m->data.result != CURLE_OK)
            set_fault(j, m->data.result);
    }
}

/* libcurl's poll does not wake for what its perform has just read. */
void http_pump(struct http *h, int fd, int64_t timeout_ms)
{
    struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
    int running;

    h->has_moved = false;
    curl_multi_perform(h->multi, &running);
    finish_jobs(h);
    if (h->has_moved || timeout_ms <= 0)
        return;
    curl_multi_poll(h->multi, &extra, fd >= 0, timeout_ms > 60000 ? 60000 : (int)timeout_ms, NULL);
    curl_multi_perform(h->multi, &running);
    finish_jobs(h);
}

/* Jobs end while others wait, so each wait looks at its job before it sleeps. */
bool http_wait(struct http *h, const struct http_job *j, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;

    for (http_pump(h, -1, 0); !j->is_done && clock_ms() < end;)
        http_pump(h, -1, end - clock_ms());
    return j->is_done;
}

bool http_wait_head(struct http *h, const struct http_job *j, int64_t timeout_ms)
{
    int64_t end = clock_ms() + timeout_ms;

    for (http_pump(h, -1, 0); !j->is_done && !j->status && clock_ms() < end;)
        http_pump(h, -1, end - clock_ms());
    return j->is_done || j->status;
}

/* ---- wires ------------------------------------------------------------------------------------
 */

struct http_wire *http_wire_open(struct http *h, int64_t timeout_ms, const char **why)
{
    struct http_wire *w = calloc(1, sizeof *w);
    CURLcode result;

    must(w);
    *h->why = 0;
    w->easy = new_easy(h, "/", h->why);
    curl_easy_setopt(w->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(w->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(w->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    result = curl_easy_perform(w->easy);
    if (result == CURLE_OK)
        result = curl_easy_getinfo(w->easy, CURLINFO_ACTIVESOCKET, &w->fd);
    if (result == CURLE_OK && w->fd != CURL_SOCKET_BAD)
        return w;
    if (!*h->why)
        snprintf(h->why, sizeof h->why, "%s", curl_easy_strerror(result));
    *why = h->why;
    http_wire_free(w);
    return NULL;
}

void http_wire_free(struct http_wire *w)
{
    if (!w)
        return;
    curl_easy_cleanup(w->easy);
    free(w);
}

ssize_t http_wire_send(struct http_wire *w, const void *bytes, size_t n)
{
    size_t done = 0;
    CURLcode result = curl_easy_send(w->easy, bytes, n, &done);

    return result == CURLE_OK ? (ssize_t)done : result == CURLE_AGAIN ? 0 : -1;
}

ssize_t http_wire_recv(struct http_wire *w, void *bytes, size_t n)
{
    size_t done = 0;
    CURLcode result = curl_easy_recv(w->easy, bytes, n, &done);

    if (result == CURLE_AGAIN)
        return 0;
    return result == CURLE_OK && done ? (ssize_t)done : -1;
}

int http_wire_fd(const struct http_wire *w)
{
    return w->fd;
}
