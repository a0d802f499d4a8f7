/* ws_frame.h: WebSocket frames as bytes (RFC 6455 section 5): heads, masking, running UTF-8 check,
 * close codes. Knows nothing of connections. Pure functions, any thread. */
#ifndef NET_WS_FRAME_H
#define NET_WS_FRAME_H
#include "base/str.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

enum {
    WS_HEAD_MAX = 14,     /* of a client's frame                            */
    WS_HEAD_OUT_MAX = 10, /* of a server's frame, which has no mask         */
    WS_CONTROL_MAX = 125, /* payload of a control frame (RFC 6455 5.5)      */
    WS_RSV1 = 4           /* bit of ws_head.reserved: compressed (RFC 7692) */
};

struct ws_head {
    uint64_t length;
    uint8_t mask[4];
    uint8_t opcode, reserved;
    bool is_final, is_masked;
    bool is_length_minimal; /* RFC 6455 5.2 asks for the shortest form */
};

/* How many bytes the head has; more than n: wait for that many. The length and the mask are set when
 * the head is complete, the rest when n >= 2. */
size_t ws_head_parse(struct ws_head *h, const char *p, size_t n);
/* The head of a server's frame. Returns its size. */
size_t ws_head_write(char out[WS_HEAD_OUT_MAX], unsigned opcode, unsigned reserved, bool is_final,
                     uint64_t length);

static inline bool ws_is_control(unsigned opcode)
{
    return opcode & 8;
}

/* Masks or unmasks n bytes that begin `offset` bytes into the payload. `to` may be `from`. */
void ws_unmask(char *to, const char *from, size_t n, const uint8_t mask[4], uint64_t offset);

/* UTF-8 that comes in pieces. Zero is the start; the text may end where missing is zero. */
struct ws_utf8 {
    uint8_t missing, low, high; /* bytes of the sequence still to come, range of the next one */
};
/* false: no continuation can make it valid any more (RFC 3629 section 4). */
bool ws_utf8_add(struct ws_utf8 *u, const char *p, size_t n);

/* May a peer send this code in a close frame? (RFC 6455 7.4, IANA registry: 1012 to 1014.) */
bool ws_close_code_is_valid(unsigned code);
#endif
