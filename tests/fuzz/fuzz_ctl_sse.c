/* Any bytes as an event stream, and as the head of a handshake's answer. What an event stream brings does
 * not depend on the pieces in which it comes: the first byte says how large they are. */
#include "main/ctl_sse.h"
#include "main/ctl_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(void *arg, const struct sse_event *e)
{
    struct buf *b = arg;

    must(!memchr(e->event.ptr, '\n', e->event.len) &&
         (!e->id.len || !memchr(e->id.ptr, 0, e->id.len)));
    buf_add(b, e->event);
    buf_addc(b, 1);
    buf_add(b, e->id);
    buf_addc(b, e->has_id ? 2 : 3);
    buf_add(b, e->data);
    buf_addc(b, 4);
}

static void read_in_pieces(str bytes, size_t piece, struct buf *out)
{
    struct sse s;

    buf_init(out, 64 << 20);
    sse_init(&s, note, out);
    for (; bytes.len; bytes = str_cut(bytes, piece))
        must(sse_feed(&s, (str){bytes.ptr, bytes.len < piece ? bytes.len : piece}));
    buf_addu(out, s.retry_ms);
    buf_addc(out, ' ');
    buf_addu(out, s.comments);
    sse_deinit(&s);
}

static void read_head(str bytes)
{
    unsigned status = 0;
    struct buf head;
    size_t n;

    buf_init(&head, HTTP_HEAD_MAX);
    n = ws_read_head(bytes, &status, &head);
    must(n == 0 || n == SIZE_MAX || (n <= bytes.len && status >= 100 && status <= 999));
    head_find(buf_str(&head), "sec-websocket-accept");
    buf_deinit(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str bytes = {(const char *)data, size};
    struct buf whole, pieces;

    if (!size)
        return 0;
    bytes = str_cut(bytes, 1);
    read_in_pieces(bytes, bytes.len ? bytes.len : 1, &whole);
    read_in_pieces(bytes, (size_t)data[0] % 16 + 1, &pieces);
    must(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_deinit(&whole);
    buf_deinit(&pieces);
    read_head(bytes);
    return 0;
}
