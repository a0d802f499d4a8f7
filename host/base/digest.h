/* digest.h: SHA-256 for identity of files and configurations; SHA-1 where a protocol asks for it. The
 * one face of the hash library. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H
#include "base/str.h"

enum { DIGEST_HEX = 64, DIGEST_SHA1 = 20 };
struct digest;
struct digest *digest_new(void);
void digest_add(struct digest *d, str bytes);
/* Length first, so that neighbouring parts cannot be confused. NULL counts as the empty text. */
void digest_add_part(struct digest *d, str part);
/* Ends it: lower-case hex and a NUL. */
void digest_take(struct digest *d, char out[DIGEST_HEX + 1]);
/* Not for secrets or identity: RFC 6455 4.2.2. */
void digest_sha1(str bytes, unsigned char out[DIGEST_SHA1]);
#endif
