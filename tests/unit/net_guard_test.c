/* net_guard_test.c: which addresses an outgoing request may go to, and ranges that open some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "net/outbound.h"

static const char *guard(const char *address, const struct net_range *open, uint32_t n)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return net_guard((struct sockaddr *)&v4, open, n);
    assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    return net_guard((struct sockaddr *)&v6, open, n);
}

static void test_public(void **state)
{
    (void)state;
    static const char *const fine[] = { "1.1.1.1",
                                        "8.8.8.8",
                                        "93.184.216.34",
                                        "172.15.255.255",
                                        "172.32.0.0",
                                        "192.167.255.255",
                                        "100.63.255.255",
                                        "100.128.0.1",
                                        "169.253.1.1",
                                        "198.17.1.1",
                                        "223.255.255.255",
                                        "2606:4700:4700::1111",
                                        "2a00:1450:4001:80b::200e",
                                        "::ffff:8.8.8.8",
                                        "2002:0808:0808::1",
                                        "64:ff9b::808:808" };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (guard(fine[i], NULL, 0))
            fail_msg("%s is refused as %s", fine[i], guard(fine[i], NULL, 0));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "127.0.0.1",
                                       "127.255.255.254",
                                       "0.0.0.0",
                                       "0.1.2.3",
                                       "10.0.0.1",
                                       "10.255.255.255",
                                       "172.16.0.1",
                                       "172.31.255.255",
                                       "192.168.1.1",
                                       "169.254.169.254",
                                       "169.254.0.1",
                                       "100.64.0.1",
                                       "100.127.255.255",
                                       "100.100.100.200",
                                       "192.0.0.8",
                                       "192.0.2.1",
                                       "198.18.0.1",
                                       "198.19.255.255",
                                       "198.51.100.7",
                                       "203.0.113.9",
                                       "224.0.0.1",
                                       "239.1.1.1",
                                       "240.0.0.1",
                                       "255.255.255.255",
                                       "::1",
                                       "::",
                                       "::ffff:127.0.0.1",
                                       "::ffff:10.0.0.1",
                                       "::ffff:a9fe:a9fe",
                                       "::127.0.0.1",
                                       "fe80::1",
                                       "febf::1",
                                       "fc00::1",
                                       "fdff::1",
                                       "fd00:ec2::254",
                                       "fec0::1",
                                       "ff02::1",
                                       "2001:db8::1",
                                       "2001::1",
                                       "3fff::1",
                                       "2002:7f00:1::",
                                       "2002:0a00:0001::1",
                                       "64:ff9b::7f00:1",
                                       "64:ff9b::10.0.0.1",
                                       "64:ff9b:1::1",
                                       "100::1",
                                       "4000::1",
                                       "5f00::1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!guard(bad[i], NULL, 0))
            fail_msg("%s is let through", bad[i]);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    assert_non_null(net_guard((struct sockaddr *)&un, NULL, 0));
}

static struct net_range range(const char *text)
{
    struct net_range r;
    assert_true(net_range_parse(str_c(text), &r));
    return r;
}

static void test_ranges(void **state)
{
    (void)state;
    struct net_range r = range("10.1.0.0/16");
    assert_null(guard("10.1.255.255", &r, 1));
    assert_null(guard("::ffff:10.1.2.3", &r, 1));
    assert_non_null(guard("10.2.0.0", &r, 1));
    assert_non_null(guard("127.0.0.1", &r, 1));
    r = range("192.168.7.9");
    assert_null(guard("192.168.7.9", &r, 1));
    assert_non_null(guard("192.168.7.8", &r, 1));
    r = range("fd00::/8");
    assert_null(guard("fd12::1", &r, 1));
    assert_non_null(guard("fc12::1", &r, 1));
    assert_non_null(guard("10.0.0.1", &r, 1));
    r = range("127.0.0.0/9");
    assert_null(guard("127.127.0.1", &r, 1));
    assert_non_null(guard("127.128.0.1", &r, 1));
    r = range("0.0.0.0/0");
    assert_null(guard("127.0.0.1", &r, 1));
    assert_non_null(guard("::1", &r, 1));
    static const char *const bad[] = { "",          "/8",          "10.0.0.0/33",
                                       "10.0.0/8",  "::1/129",     "a.b.c.d",
                                       "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8",
                                       "localhost" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(net_range_parse(str_c(bad[i]), &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
