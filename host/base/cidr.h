/* cidr.h: IP addresses and blocks of them (RFC 4632, RFC 4291 2.3). IPv4 is kept as the IPv6 address
 * that maps it (::ffff:a.b.c.d), so that a socket that speaks both families meets one kind. Pure
 * functions, any thread. */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H
#include "base/str.h"

struct ip {
    unsigned char bytes[16];
};

struct cidr {
    struct ip ip;
    unsigned bits; /* of the 128 that count */
};

/* "192.0.2.1" or "2001:db8::1", nothing around it; no zone. */
bool ip_parse(str text, struct ip *ret);
/* 0 to 65535, digits alone. */
bool ip_is_port(str text);
/* As headers and peers write it: the address alone, in brackets, and with a port where that can be told
 * apart: "192.0.2.1:80", "[2001:db8::1]:80". The port is checked and dropped. */
bool ip_parse_host(str text, struct ip *ret);
/* "10.0.0.0/8", "fd00::/8"; an address alone is a block of one. Bits behind the prefix do not count. */
bool cidr_parse(str text, struct cidr *ret);
bool cidr_has(const struct cidr *c, const struct ip *ip);

enum { IP_TEXT = 48 };
/* "192.0.2.1" or "[2001:db8::1]" with a NUL; the length. */
size_t ip_print(const struct ip *ip, char out[IP_TEXT]);
bool ip_is_loopback(const struct ip *ip);
#endif
