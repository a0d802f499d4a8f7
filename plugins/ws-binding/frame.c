#include "ws_binding.h"
#include <ctype.h>
#include <sys/random.h>

/* Only visible ASCII (mig-core.md 1). 0: absent or something else. */
static int read_id(mig_str token, char *out, size_t cap)
{
    size_t n = mig_json_unescape(token, out, cap);

    if (n == MIG_JSON_BAD || n >= cap) {
        out[0] = 0;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (out[i] < 0x21 || out[i] > 0x7E) {
            out[0] = 0;
            return 0;
        }
    return n > 0;
}

/* RFC 9562 version 4: for frames that name no message, so that they can be cancelled by their stream. */
void frame_uuid(char out[37])
{
    unsigned char b[16];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        abort(); /* up to 256 bytes are never cut short once the pool is initialised */
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

static void read_header(struct frame *f)
{
    mig_str meta = {NULL, 0};

    for (mig_json_iter i = mig_json_each(f->header); mig_json_next(&i);)
        if (mig_json_is(i.key, "message_id"))
            read_id(i.value, f->message_id, sizeof f->message_id);
        else if (mig_json_is(i.key, "meta"))
            meta = i.value;
    f->preference = mig_json_member(meta, "mig.stream_preference");
}

int frame_read(mig_str text, struct frame *f, mig_str *ret_kind)
{
    mig_str root = mig_json_root(text);

    memset(f, 0, sizeof *f);
    *ret_kind = mig_s("");
    if (mig_json_kind_of(root) != MIG_JSON_OBJECT || !mig_json_valid(root))
        return 0;
    for (mig_json_iter i = mig_json_each(root); mig_json_next(&i);) {
        if (mig_json_is(i.key, "header"))
            f->header = i.value;
        else if (mig_json_is(i.key, "stream_id"))
            read_id(i.value, f->stream_id, sizeof f->stream_id);
        else if (mig_json_is(i.key, "capability"))
            f->capability = i.value;
        else if (mig_json_is(i.key, "payload"))
            f->payload = i.value;
        else if (mig_json_is(i.key, "kind"))
            *ret_kind = i.value;
        else if (mig_json_is(i.key, "end_stream"))
            mig_json_bool(i.value, &f->is_end);
    }
    read_header(f);
    return 1;
}

void frame_word(mig_str token, char *out, size_t cap)
{
    size_t n = mig_json_unescape(token, out, cap), from = 0;

    if (n == MIG_JSON_BAD || n >= cap)
        n = 0;
    while (n && isspace((unsigned char)out[n - 1]))
        n--;
    while (from < n && isspace((unsigned char)out[from]))
        from++;
    for (size_t i = from; i < n; i++)
        out[i - from] = (char)tolower((unsigned char)out[i]);
    out[n - from] = 0;
}
