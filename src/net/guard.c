/* guard.c: which addresses a request somebody configured may not go to.
 *
 * IPv4 addresses are looked at as ::ffff:a.b.c.d, and the IPv4 address inside of 6to4 and NAT64
 * addresses is judged too. Of IPv6 only global unicast (2000::/3) is let through at all. The ranges
 * are IANA's special-purpose registries. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "net/outbound.h"

struct special {
    uint8_t addr[16];
    uint8_t bits;
    const char *what;
};

#define V4(a, b, c, d, n, what)                                                                    \
    {                                                                                              \
        { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }, 96 + (n), what                   \
    }
static const struct special special_v4[] = {
    V4(169, 254, 169, 254, 32, "a cloud metadata address"),
    V4(100, 100, 100, 200, 32, "a cloud metadata address"),
    V4(0, 0, 0, 0, 8, "an address of this machine"),
    V4(127, 0, 0, 0, 8, "a loopback address"),
    V4(10, 0, 0, 0, 8, "a private address"),
    V4(172, 16, 0, 0, 12, "a private address"),
    V4(192, 168, 0, 0, 16, "a private address"),
    V4(100, 64, 0, 0, 10, "an address of a provider's inner network"),
    V4(169, 254, 0, 0, 16, "a link-local address"),
    V4(192, 0, 0, 0, 24, "a reserved address"),
    V4(192, 0, 2, 0, 24, "an address for documentation"),
    V4(192, 88, 99, 0, 24, "a reserved address"),
    V4(198, 18, 0, 0, 15, "an address for benchmarks"),
    V4(198, 51, 100, 0, 24, "an address for documentation"),
    V4(203, 0, 113, 0, 24, "an address for documentation"),
    V4(224, 0, 0, 0, 4, "a multicast address"),
    V4(240, 0, 0, 0, 4, "a reserved address"),
};
static const struct special special_v6[] = {
    { { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0 }, 32, "a cloud metadata address" },
    { { [15] = 1 }, 128, "a loopback address" },
    { { [15] = 0 }, 128, "an address of this machine" },
    { { 0xfe, 0x80 }, 10, "a link-local address" },
    { { 0xfc }, 7, "a private address" },
    { { 0xfe, 0xc0 }, 10, "a private address" },
    { { 0xff }, 8, "a multicast address" },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "an address for documentation" },
    { { 0x3f, 0xff }, 20, "an address for documentation" },
    { { 0x20, 0x01, 0x00 }, 23, "a reserved address" },
};
static const uint8_t global_unicast[16] = { 0x20 };
static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
static const uint8_t six_to_four[16] = { 0x20, 0x02 };
static const uint8_t nat64[16] = { 0x00, 0x64, 0xff, 0x9b };

static bool inside(const uint8_t a[16], const uint8_t range[16], uint32_t bits)
{
    uint32_t whole = bits / 8, rest = bits % 8;
    if (memcmp(a, range, whole) != 0)
        return false;
    return !rest || ((a[whole] ^ range[whole]) >> (8 - rest)) == 0;
}

static const char *find(const uint8_t a[16], const struct special *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (inside(a, list[i].addr, list[i].bits))
            return list[i].what;
    return NULL;
}

static const char *judge_v4(const uint8_t v4[4])
{
    uint8_t a[16];
    memcpy(a, mapped, 16);
    memcpy(a + 12, v4, 4);
    return find(a, special_v4, sizeof special_v4 / sizeof *special_v4);
}

static const char *judge(const uint8_t a[16])
{
    if (inside(a, mapped, 96))
        return judge_v4(a + 12);
    if (inside(a, six_to_four, 16))
        return judge_v4(a + 2);
    if (inside(a, nat64, 96))
        return judge_v4(a + 12);
    const char *what = find(a, special_v6, sizeof special_v6 / sizeof *special_v6);
    if (!what && !inside(a, global_unicast, 3))
        what = "a reserved address";
    return what;
}

static bool address_of(const struct sockaddr *sa, uint8_t ret[16])
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        memcpy(ret, mapped, 16);
        memcpy(ret + 12, &in.sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof in);
        memcpy(ret, &in.sin6_addr, 16);
        return true;
    }
    return false;
}

const char *net_guard(const struct sockaddr *sa, const struct net_range *open, uint32_t nopen)
{
    uint8_t a[16];
    if (!address_of(sa, a))
        return "no internet address";
    for (uint32_t i = 0; i < nopen; i++)
        if (inside(a, open[i].addr, open[i].bits))
            return NULL;
    return judge(a);
}

bool net_range_parse(str s, struct net_range *ret)
{
    char text[64];
    uint64_t bits;
    uint8_t v4[4];
    size_t slash = str_chr(s, '/');
    str addr = slash == SIZE_MAX ? s : str_sub(s, 0, slash);
    if (!addr.n || addr.n >= sizeof text)
        return false;
    memcpy(text, addr.p, addr.n);
    text[addr.n] = 0;
    bool four = inet_pton(AF_INET, text, v4) == 1;
    if (four) {
        memcpy(ret->addr, mapped, 16);
        memcpy(ret->addr + 12, v4, 4);
    } else if (inet_pton(AF_INET6, text, ret->addr) != 1) {
        return false;
    }
    bits = four ? 32 : 128;
    if (slash != SIZE_MAX &&
        (!str_to_u64(str_skip(s, slash + 1), &bits) || bits > (four ? 32 : 128)))
        return false;
    ret->bits = (uint8_t)(bits + (four ? 96 : 0));
    return true;
}
