/* Any header values in an opening handshake: no crash, and what is agreed to is an answer of whole lines
 * that holds nothing of the client but a subprotocol of ours. A line of the input is a header; its first
 * byte says which one. */
#include "base/check.h"
#include "net/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MANY = 16 };

static const struct {
    char letter;
    str name;
} names[] = {{'U', {"upgrade", 7}},
             {'C', {"connection", 10}},
             {'V', {"sec-websocket-version", 21}},
             {'K', {"sec-websocket-key", 17}},
             {'P', {"sec-websocket-protocol", 22}},
             {'E', {"sec-websocket-extensions", 24}}};

static uint32_t split(str text, mig_header headers[MANY])
{
    uint32_t count = 0;

    while (text.ptr && count < MANY) {
        str line = str_split(&text, '\n');
        for (size_t i = 0; i < countof(names) && line.len; i++)
            if (line.ptr[0] == names[i].letter)
                headers[count++] = (mig_header){names[i].name, str_cut(line, 1)};
    }
    return count;
}

static void check_agreed(const struct ws_agreement *got)
{
    str rest = got->head, line = {NULL, 0};
    unsigned lines = 0;

    must(str_starts(got->head, S("HTTP/1.1 101 ")) && str_ends(got->head, S("\r\n\r\n")));
    must(got->window_bits == 0 || (got->window_bits >= 9 && got->window_bits <= 15));
    must(got->protocol.len == 0 || str_eq(got->protocol, S("mig.v0.1")));
    for (; rest.len; lines++) {
        line = str_split(&rest, '\n');
        must(str_ends(line, S("\r")) && !memchr(line.ptr, '\r', line.len - 1));
    }
    must(lines == 5u + (got->protocol.len != 0) + (got->window_bits != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const str ours[] = {S("mig.v0.1")};
    static struct arena_pool chunks;
    struct arena *a = arena_new(&chunks, 65536);
    struct ws_agreement got;
    mig_header headers[MANY];

    must(a);
    uint32_t count = split((str){(const char *)data, size}, headers);
    if (ws_accept(headers, count, ours, 1, size % 2, a, &got))
        check_agreed(&got);
    else
        must((got.status == 400 || got.status == 426) && got.reason && !got.head.len);
    arena_unref(a);
    return 0;
}
