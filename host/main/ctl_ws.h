/* ctl_ws.h: a WebSocket client (RFC 6455) over a wire of ctl_http.h: ws:// and wss:// alike. The one
 * face of wslay. Pings are answered by themselves. Owner: whoever opened it; one thread. */
#ifndef MAIN_CTL_WS_H
#define MAIN_CTL_WS_H
#include "ctl_http.h"

enum { WS_MESSAGE_MAX = 64 << 20 };
enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

struct ws_message {
    enum ws_opcode opcode; /* text, binary or pong; fragments are put together */
    str data;
    int64_t at_ms; /* when it was whole, clock_ms() */
};
struct ws;

struct ws_offer {
    const char *path, *subprotocol; /* subprotocol NULL: none is offered   */
    str heads;                      /* more lines, as head_add() makes them */
    int64_t timeout_ms;
};
/* What the gateway said to the handshake. */
struct ws_answer {
    unsigned status; /* 101: open; 0: no answer, `fault` says why */
    struct buf head; /* as in struct http_job                     */
    const char *fault;
};
void ws_answer_deinit(struct ws_answer *a);
/* NULL: it did not become one. The caller deinits the answer in both cases. */
struct ws *ws_open(struct http *h, const struct ws_offer *offer, struct ws_answer *ret_answer);
/* Cuts the connection without a word. */
void ws_free(struct ws *w);

/* Queues and writes. false: the connection is over. */
bool ws_send(struct ws *w, enum ws_opcode opcode, str data);
/* Bytes as they are, for frames that no decent client sends. */
bool ws_send_raw(struct ws *w, str bytes);
/* Begins the closing handshake. */
bool ws_close(struct ws *w, unsigned code);
/* The next message, at once when one waits. False: none came in time, or the connection is over.
 * The data live until the next call. Moves the jobs of the client meanwhile. */
bool ws_next(struct ws *w, int64_t timeout_ms, struct ws_message *ret);
/* No message will come any more. */
bool ws_is_over(const struct ws *w);
/* The code of the peer's closing frame; 1005 when it had none, 1006 when none came. */
unsigned ws_close_code(const struct ws *w);

/* One frame as a client writes it, masked unless said otherwise. For ws_send_raw(). */
struct ws_frame {
    enum ws_opcode opcode;
    bool is_last, is_unmasked;
};
void ws_add_frame(struct buf *out, struct ws_frame f, str data);
/* Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 4.2.2): 28 characters and a NUL. */
enum { WS_ACCEPT = 28 };
void ws_accept_of(str key, char out[WS_ACCEPT + 1]);
/* The head of an answer: what stands before the first empty line, lines ended by '\n'. 0: not whole yet;
 * SIZE_MAX: this is no HTTP; else its size in bytes with the empty line. */
size_t ws_read_head(str bytes, unsigned *ret_status, struct buf *ret_head);
#endif
