/* post.h: POST of a document to a collector. Blocks: for a thread of its own, never on a loop.
 *
 * The face of libcurl, which is loaded with the first document: linking it would bring thirty libraries
 * into each start of the daemon. http and https, no redirects, no cookies, no signals; proxies as the
 * environment says. The process ignores SIGPIPE (main/ does). */
#ifndef NET_POST_H
#define NET_POST_H
#include "base/str.h"

struct post;

/* headers: lines "Name: value", NULL-terminated, sent with each document. stop(arg) true: give up; it is
 * asked about once a second. NULL: libcurl is not installed. */
struct post *post_new(const char *url, const char *const *headers, bool (*stop)(void *arg),
                      void *arg);
void post_free(struct post *p);

struct post_answer {
    unsigned status; /* 0: there was none; detail says why */
    char detail[256];
};
/* true: there is an answer, whatever its status. Within timeout_ms. */
bool post_send(struct post *p, str body, unsigned timeout_ms, struct post_answer *ret);
#endif
