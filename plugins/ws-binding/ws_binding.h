/* ws_binding.h: between the files of this plugin. One loop serves a connection: nothing here is shared
 * between threads but the binding itself, which does not change. */
#ifndef WS_BINDING_H
#define WS_BINDING_H
#include <mig/ext/binding.h>
#include <mig/ext/http.h>
#include <mig/plugin.h>
#include <mig/sdk/json.h>
#include <mig/sdk/json_write.h>
#include <mig/sdk/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_ID_MAX = 160, MESSAGE_ID_MAX = 128, MALFORMED_MAX = 10, STREAMS_MAX = 128 };

struct binding {
    const mig_host *host;
    const mig_ext_http *http;
    const mig_ext_binding *mig;
    uint32_t max_streams; /* of a connection */
};

struct conn {
    struct binding *b;
    mig_call ex;
    struct stream *streams;
    uint32_t count, malformed; /* malformed: in a row */
    int is_gone;
};

/* A frame as it came (mig-core.md 6.1): tokens of its members; stream_id and message_id decoded. */
struct frame {
    mig_str header, capability, payload, preference;
    char stream_id[STREAM_ID_MAX + 1], message_id[MESSAGE_ID_MAX + 1];
    int is_end;
};

/* Something submitted that will be answered: an invocation, a subscription, a control exchange. */
struct stream {
    struct conn *conn;
    struct stream *prev, *next;
    mig_call op; /* once it is open */
    int is_paused, takes_input, is_subscription, is_listed;
    int end_follows; /* the client side is to be closed when it opens */
    char *pending;   /* a frame that the connection would not take yet */
    size_t pending_len;
    int is_over;  /* ... and was the last one */
    char *header; /* of subscriptions: for frames that are made here */
    void (*answered)(struct stream *s, const mig_outcome *out); /* control exchanges */
    const char *stream_id, *message_id;
    char ids[]; /* the texts of both: most are far from their limits */
};

/* frame.c */
/* 0: not a JSON object. */
int frame_read(mig_str text, struct frame *f, mig_str *ret_kind);
/* A token that is a string, decoded and trimmed, in lower case; empty when it is none or too long. */
void frame_word(mig_str token, char *out, size_t cap);
void frame_uuid(char out[37]);

/* stream.c */
void stream_invoke(struct conn *c, struct frame *f);
void stream_control(struct conn *c, struct frame *f);
/* An error frame (mig-core.md 6.1). f may be zeroed. */
void stream_refuse(struct conn *c, const struct frame *f, mig_status code, const char *reason,
                   const char *message);
void stream_flush(struct conn *c); /* the connection has room */
#endif
