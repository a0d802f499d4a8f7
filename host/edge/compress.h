/* compress.h: whole bodies to and from gzip (RFC 1952) and Zstandard (RFC 8878). The face of zlib and
 * libzstd in edge/. One per loop: contexts and the output are kept, so that a steady load asks for no
 * memory. Owner: its loop. */
#ifndef EDGE_COMPRESS_H
#define EDGE_COMPRESS_H
#include "base/buf.h"
#include "edge/coding.h"

/* Largest bodies that are coded: about 10 ms, for a loop must not be held. */
enum { COMPRESS_GZIP_MAX = 1 << 20, COMPRESS_ZSTD_MAX = 4 << 20 };

struct compressor;
/* NULL: out of memory. */
struct compressor *compressor_new(void);
void compressor_free(struct compressor *z);

/* The coded body, good until the next use of z. ptr NULL: it would not be shorter, is too long, or there
 * is no memory. */
str compress_body(struct compressor *z, enum coding c, str body);

enum decoded { DECODED, DECODED_MALFORMED, DECODED_TOO_LARGE, DECODED_NO_MEMORY };
/* Appends what body stands for to out, whose limit is what the body may grow to. Input that ends early,
 * or goes on behind the end, is malformed; several members or frames in a row are one body. */
enum decoded decompress_body(struct compressor *z, enum coding c, str body, struct buf *out);
#endif
