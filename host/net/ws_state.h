/* ws_state.h: what ws.c (life, sending) and ws_receive.c share; nobody else includes it. */
#ifndef NET_WS_STATE_H
#define NET_WS_STATE_H
#include "net/ws.h"
#include "net/ws_deflate.h"
#include "net/ws_frame.h"

#include <assert.h>

enum ws_phase { WS_OPEN, WS_CLOSING, WS_ENDED };
enum { WS_NO_CODE = 1005 }; /* stands for a close frame without one (RFC 6455 7.4.1) */

struct ws_pool {
    struct buf scratch; /* the unmasked payload of a frame that lies whole in the bytes fed */
    struct ws_codec codec;
};

struct ws {
    struct ws_pool *pool;
    const struct ws_ops *ops;
    void *owner;
    struct ws_config config;
    uint8_t phase;
    bool is_feeding, is_freed;

    bool in_frame; /* its head is complete, its payload is not */
    uint8_t head_size;
    struct ws_head head;
    uint64_t at; /* payload bytes of this frame so far */

    bool in_message, is_binary, is_deflated; /* of the message whose frames come now */
    struct ws_utf8 utf8;                     /* missing is zero between messages */
    struct buf message; /* its bytes so far, when they came in several pieces */

    char head_bytes[WS_HEAD_MAX]; /* a head that came in several pieces */
    char control[WS_CONTROL_MAX];
};
static_assert(sizeof(struct ws) <= 320, "an idle socket stays small");

/* How many bytes the payload of a message may have. */
size_t ws_payload_max(const struct ws *ws, bool is_deflated);
/* A close frame, whatever the phase. */
mig_status ws_send_close(struct ws *ws, unsigned code, str reason);
/* A frame, whatever the phase; hold goes to ops->write(). */
mig_status ws_send_frame(struct ws *ws, unsigned opcode, unsigned reserved, str payload,
                         void *hold);
#endif
