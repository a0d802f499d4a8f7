#include "base/id.h"
#include "base/check.h"
#include "base/clock.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/* Random bytes are drawn in blocks: asking the kernel for each id costs more than the id. */
struct source {
    unsigned char bytes[1024];
    unsigned at; /* next unused byte; 0 with last_ms 0: nothing drawn yet */
    uint64_t last_ms;
    unsigned counter; /* the 12 bits behind the time: order within a millisecond */
};

static uint64_t draw8(struct source *s)
{
    uint64_t v;

    if (s->last_ms == 0 || s->at + sizeof v > sizeof s->bytes) {
        must(getrandom(s->bytes, sizeof s->bytes, 0) == sizeof s->bytes); /* up to 256 is atomic,
                                                        more too once the pool is initialised */
        s->at = 0;
    }
    memcpy(&v, s->bytes + s->at, sizeof v);
    s->at += sizeof v;
    return v;
}

static void tick(struct source *s, uint64_t random)
{
    uint64_t now = clock_turn_wall_ms();

    if (now > s->last_ms) {
        s->last_ms = now;
        s->counter = random & 0x7FF; /* upper half free: room to count */
    } else if (++s->counter > 0xFFF) {
        s->last_ms++; /* borrowed from the future rather than out of order */
        s->counter = 0;
    }
}

void id_uuid7(char out[ID_UUID])
{
    static _Thread_local struct source source;
    static const char hex[] = "0123456789abcdef";
    uint64_t random = draw8(&source);
    unsigned char b[16];

    tick(&source, random >> 50);
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(source.last_ms >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70 | source.counter >> 8);
    b[7] = (unsigned char)source.counter;
    memcpy(b + 8, &random, 8);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    static const unsigned char places[16] = {0,  2,  4,  6,  9,  11, 14, 16,
                                             19, 21, 24, 26, 28, 30, 32, 34};
    for (int i = 0; i < 16; i++) {
        out[places[i]] = hex[b[i] >> 4];
        out[places[i] + 1] = hex[b[i] & 15];
    }
    out[8] = out[13] = out[18] = out[23] = '-';
}
