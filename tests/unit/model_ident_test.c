/* Ids made by the server, and UUID text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/ident.h"

static const struct id_gen gen = { { 0x0123456789abcdefull, 0xfedcba9876543210ull } };

static void there_and_back(void **state)
{
    (void)state;
    static const ts_ns times[] = { 0, NS_PER_MS, 1800000000123456789ll, TS_MAX };
    uint64_t x = 1;
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t seq = i < 100   ? (uint64_t)i
                       : i < 110 ? UINT64_MAX - (uint64_t)i
                                 : x >> (i % 60),
                 got;
        ts_ns at = times[i % 4], when;
        char id[ID_TEXT];
        id_make(&gen, at, seq, id);
        str text = { id, ID_TEXT };
        assert_true(uuid_valid(text));
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(id_decode(&gen, text, &when, &got));
        assert_true(got == seq);
        assert_true(when == at / NS_PER_MS * NS_PER_MS);
    }
}

static void order(void **state)
{
    (void)state;
    char a[ID_TEXT], b[ID_TEXT];
    for (int i = 0; i < 1000; i++) {
        id_make(&gen, i * NS_PER_MS, 5, a);
        id_make(&gen, (i + 1) * NS_PER_MS, 4, b);
        assert_true(memcmp(a, b, ID_TEXT) < 0);
    }
}

static void strangers(void **state)
{
    (void)state;
    static const struct id_gen other = { { 1, 2 } };
    char id[ID_TEXT];
    ts_ns t;
    uint64_t seq;
    int taken = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        id_make(&other, 1800000000000000000ll, i, id);
        taken += id_decode(&gen, (str){ id, ID_TEXT }, &t, &seq);
    }
    assert_true(taken < 60); /* one in 1,024 */
    id_make(&gen, 1800000000000000000ll, 7, id);
    for (int i = 0; i < ID_TEXT; i++) {
        char bad[ID_TEXT];
        memcpy(bad, id, ID_TEXT);
        bad[i] = bad[i] == '-' ? '0' : 'g';
        assert_false(id_decode(&gen, (str){ bad, ID_TEXT }, &t, &seq));
    }
    static const char *const no[] = { "", "00000000-0000-0000-0000-000000000000",
                                      "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
                                      "01a3185c-507b-7401-d4ce-19c285d3c36f" };
    for (size_t i = 0; i < 4; i++)
        assert_false(id_decode(&gen, str_c(no[i]), &t, &seq));
}

static void upper_case(void **state)
{
    (void)state;
    char id[ID_TEXT];
    ts_ns t;
    uint64_t seq = 0;
    id_make(&gen, 1800000000000000000ll, 123456, id);
    for (int i = 0; i < ID_TEXT; i++)
        if (id[i] >= 'a' && id[i] <= 'f')
            id[i] = (char)(id[i] - 32);
    assert_true(id_decode(&gen, (str){ id, ID_TEXT }, &t, &seq));
    assert_true(seq == 123456);
}

static void uuid_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        { "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", true },
        { "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", true },
        { "00000000-0000-0000-0000-000000000000", true },
        { "4bf92f3577b34da6a3ce929d0e0e4736", false },
        { "4bf92f35-77b3-4da6-a3ce-929d0e0e473", false },
        { "4bf92f35-77b3-4da6-a3ce-929d0e0e47366", false },
        { "4bf92f35+77b3-4da6-a3ce-929d0e0e4736", false },
        { "4bf92f3-577b3-4da6-a3ce-929d0e0e4736", false },
        { "gbf92f35-77b3-4da6-a3ce-929d0e0e4736", false },
        { "", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(uuid_valid(str_c(cases[i].text)), cases[i].ok);
    uint8_t raw[16];
    char out[ID_TEXT];
    assert_true(uuid_to_bytes(str_c(cases[1].text), raw));
    uuid_from_bytes(raw, out);
    assert_memory_equal(out, cases[0].text, ID_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(order),     cmocka_unit_test(strangers),
        cmocka_unit_test(upper_case),     cmocka_unit_test(uuid_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
