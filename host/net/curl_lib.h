/* curl_lib.h: libcurl, loaded when it is first needed: only who fetches keys or sends spans has it in his
 * process. Private to net/. Any thread. */
#ifndef NET_CURL_LIB_H
#define NET_CURL_LIB_H
#include <curl/curl.h>

struct curl_lib {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_perform) *easy_perform;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
};

/* NULL: it is not installed, or lacks a function. The same answer each time. */
const struct curl_lib *curl_lib(void);
#endif
