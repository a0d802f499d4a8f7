#include "base/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { V4_BITS = 96 }; /* before the IPv4 address in a mapped one */

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static bool is_v4(const struct ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool ip_parse(str text, struct ip *ret)
{
    char z[IP_TEXT];
    struct ip ip;

    if (!text.len || text.len >= sizeof z)
        return false;
    memcpy(z, text.ptr, text.len);
    z[text.len] = 0;
    if (strlen(z) != text.len)
        return false;
    if (inet_pton(AF_INET, z, ip.bytes + sizeof v4_prefix) == 1)
        memcpy(ip.bytes, v4_prefix, sizeof v4_prefix);
    else if (inet_pton(AF_INET6, z, ip.bytes) != 1)
        return false;
    *ret = ip;
    return true;
}

bool ip_is_port(str text)
{
    uint64_t port;

    return text.len <= 5 && str_to_u64(text, &port) && port <= 65535;
}

bool ip_parse_host(str text, struct ip *ret)
{
    str rest = text, host;

    if (!text.len)
        return false;
    if (text.ptr[0] == '[') {
        rest = str_cut(text, 1);
        host = str_split(&rest, ']');
        bool has_end =
            rest.ptr && (!rest.len || (rest.ptr[0] == ':' && ip_is_port(str_cut(rest, 1))));
        return has_end && memchr(host.ptr, ':', host.len) && ip_parse(host, ret);
    }
    host = str_split(&rest, ':');
    if (!rest.ptr || memchr(rest.ptr, ':', rest.len))
        return ip_parse(text, ret); /* no colon, or the several of a bare IPv6 address */
    return ip_is_port(rest) && ip_parse(host, ret);
}

bool cidr_parse(str text, struct cidr *ret)
{
    str bits = text, address = str_split(&bits, '/');
    uint64_t count;
    struct cidr c;

    if (!ip_parse(address, &c.ip))
        return false;
    bool is_short = !memchr(address.ptr, ':', address.len);
    c.bits = 128;
    if (bits.ptr) {
        if (bits.len > 3 || !str_to_u64(bits, &count) || count > (is_short ? 32u : 128u))
            return false;
        c.bits = (unsigned)count + (is_short ? V4_BITS : 0);
    }
    *ret = c;
    return true;
}

bool cidr_has(const struct cidr *c, const struct ip *ip)
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;

    if (memcmp(c->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return !rest || (c->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}

size_t ip_print(const struct ip *ip, char out[IP_TEXT])
{
    if (is_v4(ip)) {
        inet_ntop(AF_INET, ip->bytes + sizeof v4_prefix, out, IP_TEXT);
        return strlen(out);
    }
    out[0] = '[';
    inet_ntop(AF_INET6, ip->bytes, out + 1, IP_TEXT - 2);
    size_t n = strlen(out);
    out[n++] = ']';
    out[n] = 0;
    return n;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const struct ip v6 = {{[15] = 1}};

    return is_v4(ip) ? ip->bytes[12] == 127 : memcmp(ip, &v6, sizeof v6) == 0;
}
