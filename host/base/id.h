/* id.h: identifiers that the server makes. Any thread; state is per thread. */
#ifndef BASE_ID_H
#define BASE_ID_H

enum { ID_UUID = 36 };
/* A lower-case UUIDv7 (RFC 9562 5.7), increasing within a thread: 36 bytes, no NUL. */
void id_uuid7(char out[ID_UUID]);
#endif
