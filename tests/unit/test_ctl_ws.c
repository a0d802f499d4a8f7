/* ctl_ws.c: what can be tried without a peer: the handshake's texts and single frames. */
#include "unit.h"

#include "main/ctl_ws.h"

static void accept_is_that_of_the_standard(void **state)
{
    char out[WS_ACCEPT + 1];
    (void)state;

    ws_accept_of(S("dGhlIHNhbXBsZSBub25jZQ=="), out); /* RFC 6455 1.3 */
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void heads_are_read_when_they_are_whole(void **state)
{
    static const char text[] = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nA:b\r\n\r\nrest";
    size_t size = sizeof text - 1 - 4;
    unsigned status = 0;
    struct buf head;
    (void)state;

    buf_init(&head, 4096);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(ws_read_head((str){text, n}, &status, &head), 0);
    assert_int_equal(status, 0);
    assert_int_equal(ws_read_head(str_of(text), &status, &head), size);
    assert_int_equal(status, 101);
    assert_str(head_find(buf_str(&head), "upgrade"), "websocket");
    assert_str(head_find(buf_str(&head), "a"), "b");
    buf_deinit(&head);
}

static void other_protocols_are_no_heads(void **state)
{
    static const char *const bad[] = {"SSH-2.0-x\r\n\r\n", "HTTP/\r\n\r\n", "HTTP/1.1 xyz\r\n\r\n",
                                      "HTTP/1.1 012 x\r\n\r\n"};
    unsigned status = 0;
    struct buf head;
    (void)state;

    buf_init(&head, 4096);
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(ws_read_head(str_of(bad[i]), &status, &head), SIZE_MAX);
    buf_deinit(&head);
}

static void a_head_has_a_limit(void **state)
{
    unsigned status;
    struct buf head, b;
    (void)state;

    buf_init(&head, 4096);
    buf_init(&b, 1 << 20);
    buf_addz(&b, "HTTP/1.1 200 OK\r\nX: ");
    while (b.len < 70000)
        buf_addc(&b, 'x');
    assert_int_equal(ws_read_head(buf_str(&b), &status, &head), SIZE_MAX);
    buf_deinit(&b);
    buf_deinit(&head);
}

/* Sizes at which the length of a frame is written in another way. */
static void frames_are_masked_and_sized(void **state)
{
    static const struct {
        size_t size, head;
    } sizes[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}};
    static char data[65536];
    (void)state;

    memset(data, 'd', sizeof data);
    for (size_t i = 0; i < countof(sizes); i++) {
        struct buf b;
        size_t n = sizes[i].head;
        buf_init(&b, 1 << 20);
        ws_add_frame(&b, (struct ws_frame){.opcode = WS_TEXT, .is_last = true},
                     (str){data, sizes[i].size});
        assert_int_equal(b.len, n + 4 + sizes[i].size);
        assert_int_equal((unsigned char)b.ptr[0], 0x81);
        assert_int_equal(b.ptr[1] & 0x80, 0x80);
        for (size_t k = 0; k < sizes[i].size; k += 997)
            assert_int_equal(b.ptr[n + 4 + k] ^ b.ptr[n + k % 4], 'd');
        buf_deinit(&b);
    }
}

static void unmasked_frames_can_be_made(void **state)
{
    struct buf b;
    (void)state;

    buf_init(&b, 64);
    ws_add_frame(&b, (struct ws_frame){.opcode = WS_CONTINUATION, .is_unmasked = true}, S("hi"));
    assert_true(str_eq(buf_str(&b), S("\x00\x02hi")));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(accept_is_that_of_the_standard), T(heads_are_read_when_they_are_whole),
        T(other_protocols_are_no_heads),   T(a_head_has_a_limit),
        T(frames_are_masked_and_sized),    T(unmasked_frames_can_be_made),
    };
    return RUN(tests);
}
