#include "net/fetch.h"
#include "base/check.h"
#include "net/curl_lib.h"

#include <stdio.h>

enum { CONNECT_MS = 3000, TOTAL_MS = 10000, REDIRECTS_MAX = 3 };

/* --- what the server says --------------------------------------------------------------------- */

struct transfer {
    struct buf *out;
    struct fetch_info *info;
    const struct fetch_limits *limits;
    uint64_t age_s;
};

bool fetch_cache_control(str value, uint64_t *ret_max_age_s)
{
    bool has_age = false;

    while (value.ptr) {
        str word = str_trim(str_split(&value, ',')), number = word;
        str name = str_trim(str_split(&number, '='));
        if (str_eq_nocase(name, S("no-store")) || str_eq_nocase(name, S("no-cache"))) {
            *ret_max_age_s = 0;
            return true;
        }
        number = str_trim(number);
        if (number.len >= 2 && number.ptr[0] == '"' && number.ptr[number.len - 1] == '"')
            number = (str){number.ptr + 1, number.len - 2}; // RFC 9111 5.2: both forms
        has_age |= str_eq_nocase(name, S("max-age")) && str_to_u64(number, ret_max_age_s);
    }
    return has_age;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    str value = {line, size * n};

    if (str_starts(value, S("HTTP/"))) { // another answer begins: a redirect's was before
        t->info->has_max_age = false;
        t->info->max_age_s = t->age_s = 0;
        return size * n;
    }
    str name = str_split(&value, ':');
    value = str_trim(value);
    if (str_eq_nocase(name, S("cache-control")))
        t->info->has_max_age |= fetch_cache_control(value, &t->info->max_age_s);
    else if (str_eq_nocase(name, S("age")))
        str_to_u64(value, &t->age_s);
    return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    return buf_add(t->out, (str){bytes, size * n}) ? size * n : 0;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *t = arg;

    (void)a, (void)b, (void)c, (void)d;
    return t->limits->stop && atomic_load(t->limits->stop);
}

/* --- the transfer ----------------------------------------------------------------------------- */

static bool has_scheme(const char *url, str scheme)
{
    return str_eq_nocase((str){url, strnlen(url, scheme.len)}, scheme);
}

/* The scheme of the first address is that of the last. */
static void set_target(CURL *h, const char *url)
{
    const struct curl_lib *curl = curl_lib();
    const char *scheme = has_scheme(url, S("https://")) ? "https" : "http";

    curl->easy_setopt(h, CURLOPT_URL, url);
    curl->easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, scheme);
    curl->easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
    curl->easy_setopt(h, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl->easy_setopt(h, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl->easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl->easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl->easy_setopt(h, CURLOPT_USERAGENT, "migd/" MIGD_VERSION);
}

static void set_limits(CURL *h, struct transfer *t)
{
    const struct curl_lib *curl = curl_lib();
    const struct fetch_limits *l = t->limits;

    curl->easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
                      (long)(l->connect_ms ? l->connect_ms : CONNECT_MS));
    curl->easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(l->total_ms ? l->total_ms : TOTAL_MS));
    curl->easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(t->out->limit - t->out->len));
    curl->easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(h, CURLOPT_HEADERDATA, t);
    curl->easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(h, CURLOPT_WRITEDATA, t);
    curl->easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl->easy_setopt(h, CURLOPT_XFERINFODATA, t);
    curl->easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    if (l->ca_file)
        curl->easy_setopt(h, CURLOPT_CAINFO, l->ca_file);
}

static const char *word_for(CURLcode code, const struct fetch_info *info)
{
    switch (code) {
    case CURLE_OK: return NULL;
    case CURLE_UNSUPPORTED_PROTOCOL: return info->status ? "redirect" : "transfer"; // HTTP/0.9
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED: return info->status ? "redirect" : "url";
    case CURLE_TOO_MANY_REDIRECTS: return "redirect";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return "resolve";
    case CURLE_COULDNT_CONNECT: return "connect";
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM: return "tls";
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED: return "too_large";
    case CURLE_ABORTED_BY_CALLBACK: return "stopped";
    default: return "transfer";
    }
}

static void perform(CURL *h, const char *url, struct transfer *t)
{
    const struct curl_lib *curl = curl_lib();
    char error[CURL_ERROR_SIZE] = "";
    long status = 0;

    set_target(h, url);
    set_limits(h, t);
    curl->easy_setopt(h, CURLOPT_ERRORBUFFER, error);
    CURLcode code = curl->easy_perform(h);
    curl->easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    t->info->status = (unsigned)status;
    t->info->fault = word_for(code, t->info);
    if (code != CURLE_OK)
        snprintf(t->info->detail, sizeof t->info->detail, "%s",
                 error[0] ? error : curl->easy_strerror(code));
    t->info->max_age_s -= t->age_s < t->info->max_age_s ? t->age_s : t->info->max_age_s;
}

bool fetch_get(const char *url, const struct fetch_limits *limits, struct buf *out,
               struct fetch_info *ret)
{
    const struct curl_lib *curl = curl_lib();
    struct transfer t = {out, ret, limits, 0};

    *ret = (struct fetch_info){.fault = "url", .detail = "neither http:// nor https://"};
    if (!has_scheme(url, S("http://")) && !has_scheme(url, S("https://")))
        return false; // curl would guess
    *ret = (struct fetch_info){.fault = "library", .detail = "libcurl.so.4 cannot be used"};
    CURL *h = curl ? curl->easy_init() : NULL;
    if (!h)
        return false;
    ret->detail[0] = 0;
    perform(h, url, &t);
    curl->easy_cleanup(h);
    return !ret->fault;
}
