#include "store/sqlite.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* What SQLite shares between connections stays when a process dies, and says how long the log of changes
 * was (sqlite.org/walformat.html 2.1). SQLite itself does not look: it takes the log up to the last frame
 * whose checksum is right, and what stood behind it is gone without a word. */

enum { INDEX_VERSION = 3007000, LOG_HEAD = 32, FRAME_HEAD = 24, FRAME_MAX = FRAME_HEAD + 65536 };

struct index_head {
    uint32_t version, unused, changes;
    uint8_t is_ready, is_big_endian;
    uint16_t page_size;
    uint32_t frames; /* committed ones */
    uint32_t pages, frame_sum[2];
    uint8_t salt[8]; /* as in the log */
    uint32_t sum[2];
};

struct index {
    struct index_head head, copy;
    uint32_t copied; /* of the frames, into the database */
};
static_assert(sizeof(struct index) == 100, "it is a part of a file");

/* The log while it is read. */
struct chain {
    FILE *file;
    uint32_t sum[2]; /* of all up to here */
    uint32_t page_size;
    bool is_big_endian; /* the words that are summed up; those of the format always are */
};

static uint32_t big(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add(struct chain *c, const uint8_t *p, size_t n)
{
    uint32_t (*word)(const uint8_t *) = c->is_big_endian ? big : little;

    for (; n >= 8; n -= 8, p += 8) {
        c->sum[0] += word(p) + c->sum[1];
        c->sum[1] += word(p + 4) + c->sum[0];
    }
}

static bool ends_with(const struct chain *c, const uint8_t *sum)
{
    return c->sum[0] == big(sum) && c->sum[1] == big(sum + 4);
}

static bool begin(struct chain *c, const struct index_head *want)
{
    uint8_t head[LOG_HEAD];

    if (!c->file || fread(head, sizeof head, 1, c->file) != 1)
        return false;
    c->is_big_endian = big(head) & 1;
    c->page_size = big(head + 8);
    add(c, head, 24);
    return (big(head) | 1) == 0x377F0683 && c->page_size <= FRAME_MAX - FRAME_HEAD &&
           memcmp(head + 16, want->salt, sizeof want->salt) == 0 && ends_with(c, head + 24);
}

static bool next(struct chain *c, const struct index_head *want, uint8_t *frame)
{
    if (fread(frame, FRAME_HEAD + c->page_size, 1, c->file) != 1)
        return false;
    add(c, frame, 8);
    add(c, frame + FRAME_HEAD, c->page_size);
    return memcmp(frame + 8, want->salt, sizeof want->salt) == 0 && ends_with(c, frame + 16);
}

/* How many frames SQLite would find. */
static uint32_t sound_frames(const char *path, const struct index_head *want)
{
    struct chain c = {.file = fopen(path, "rbe")};
    uint8_t *frame = malloc(FRAME_MAX);
    uint32_t n = 0;

    if (frame && begin(&c, want))
        while (n < want->frames && next(&c, want, frame))
            n++;
    free(frame);
    if (c.file)
        fclose(c.file);
    return n;
}

/* false: there is none, or it cannot be trusted. */
static bool load(const char *path, struct index *ret)
{
    FILE *f = fopen(path, "rbe");

    if (!f)
        return false;
    bool is_whole = fread(ret, sizeof *ret, 1, f) == 1;
    fclose(f);
    return is_whole && ret->head.version == INDEX_VERSION && ret->head.is_ready &&
           memcmp(&ret->head, &ret->copy, sizeof ret->head) == 0;
}

uint32_t sqlite_wal_missing(const char *index_path, const char *log_path)
{
    struct index i, later;

    if (!load(index_path, &i))
        return 0;
    uint32_t sound = sound_frames(log_path, &i.head);
    if (sound == i.head.frames || (!sound && i.copied >= i.head.frames))
        return 0;
    bool is_used = !load(index_path, &later) || memcmp(&i.head, &later.head, sizeof i.head) != 0;
    return is_used ? 0 : i.head.frames - sound; // used: by somebody's sqlite3, who will know
}
