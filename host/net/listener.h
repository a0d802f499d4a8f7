/* listener.h: listening sockets. One SO_REUSEPORT socket per loop and address, opened once by control
 * and kept for the life of the process: closing one resets what waits in its queue. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H
#include "base/buf.h"
#include "net/http.h"

struct listener_set;

/* Control thread. "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses). Port 0 takes a free one. fds
 * get one socket per loop. NULL: *error says why (static or errno text). */
struct listener_set *listener_open(str address, bool is_tls, size_t loops, char error[160]);
/* The address with the real port. */
const char *listener_address(const struct listener_set *s);
void listener_free(struct listener_set *s);

/* Own loop: accept on the set's socket of this loop. A loop with far more connections than the others
 * passes new ones to the least loaded. all: every loop's net, by index. */
struct listener;
struct listener *listener_start(struct listener_set *s, struct net_loop *n, struct net_loop **all);
/* Own loop: stop accepting; the socket stays open until listener_free(). */
void listener_stop(struct listener *l);
#endif
