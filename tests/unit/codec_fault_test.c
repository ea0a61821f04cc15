/* codec_fault_test.c: what is the same in every report of a fault. These results are part of the
 * identifiers of issues: a change here is a new FAULT_VERSION. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/fault.h"

static void stack_is(const char *text, const char *type, const char *frame, const char *line)
{
    struct fault_stack s;
    struct buf b;
    buf_init(&b, 4096);
    bool found = fault_stack_read(str_c(text), &s);
    fault_put_frame(&b, &s);
    buf_putc(&b, 0);
    assert_string_equal(b.p, frame);
    assert_int_equal(found, frame[0] != 0);
    assert_true(str_eq(s.type, str_c(type)));
    assert_true(str_eq(s.line, str_c(line)));
    buf_deinit(&b);
}

static void text_is(const char *text, const char *want)
{
    struct buf b;
    buf_init(&b, 4096);
    fault_put_text(&b, str_c(text));
    buf_putc(&b, 0);
    assert_string_equal(b.p, want);
    buf_deinit(&b);
}

static void test_stacks(void **state)
{
    (void)state;
    stack_is("Traceback (most recent call last):\n"
             "  File \"/srv/main.py\", line 10, in <module>\n    run()\n"
             "  File \"/srv/tools.py\", line 33, in run_tool\n    raise X\n"
             "ValueError: bad 12\n",
             "ValueError", "run_tool (tools.py)", "ValueError: bad 12");
    stack_is("  File \"a.py\", line 1, in f\nKeyError: 'k'\n\nDuring handling of the above "
             "exception, another exception occurred:\n\n  File \"b.py\", line 2, in g\n"
             "my.mod.ToolError: no\n",
             "my.mod.ToolError", "g (b.py)", "my.mod.ToolError: no");
    stack_is("TypeError: x\n    at async Agent.step (/app/agent.js:10:15)\n    at /app/m.js:3:1",
             "TypeError", "Agent.step (agent.js)", "TypeError: x");
    stack_is("Error: x\n    at node:internal/fs:1:2\n    at file:///app/m.mjs?v=2:3:1", "Error",
             "m.mjs", "Error: x");
    stack_is("java.io.IOException: broken\n\tat java.base/a.b.C.lambda$f$12(C.java:1)\n"
             "Caused by: x.Y: z",
             "java.io.IOException", "a.b.C.lambda$f$ (C.java)", "java.io.IOException: broken");
    stack_is("System.X: no\n   at A.B.Run(String s, Int32 n) in C:\\src\\B.cs:line 42", "System.X",
             "A.B.Run (B.cs)", "System.X: no");
    stack_is("panic: oh [recovered]\n\ngoroutine 7 [running]:\npanic({0x1, 0x2})\n"
             "\t/go/panic.go:1 +0x1\nmain.(*T).Run(0xc0, {0x1, 0x2})\n\t/src/t.go:17 +0x1d\n",
             "panic", "main.(*T).Run (t.go)", "panic: oh [recovered]");
    stack_is("thread 'main' panicked at src/m.rs:1:2:\nboom 7\nstack backtrace:\n"
             "   0: rust_begin_unwind\n             at /rustc/p.rs:1:1\n"
             "   1: 0x55d0 - app::run::h0123456789abcdef\n             at ./src/m.rs:1:2\n",
             "panic", "app::run (m.rs)", "boom 7");
    stack_is("thread 'w' panicked at 'oh', src/m.rs:4:5\n", "panic", "m.rs",
             "thread 'w' panicked at 'oh', src/m.rs:4:5");
    stack_is("we met at noon (really)", "", "", "");
    stack_is("", "", "", "");
}

static void test_texts(void **state)
{
    (void)state;
    text_is("  took 12 ms for job_7f3a\nmore", "took <int> ms for <text>");
    text_is("don't open '/a b' or \"x\" or `y`", "don't open <text> or <text> or <text>");
    text_is("GET https://a.b/c?d=1 gave 502", "GET <path> gave <int>");
    text_is("no /a/b.txt, no ~/c, no ../d, no C:\\e but a/b", "no <path>, no <path>, no <path>, "
                                                              "no <path> but a/b");
    text_is("", "");
    text_is("a\tb", "a b");
}

/* a text cut in the middle of a character loses that character */
static void test_long(void **state)
{
    (void)state;
    char text[2 * FAULT_TEXT_MAX + 2], want[FAULT_TEXT_MAX + 1];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = i == 0 ? 'x' : i % 2 ? '\xc3' : '\xbc';
    text[sizeof text - 1] = 0;
    memcpy(want, text, FAULT_TEXT_MAX - 1);
    want[FAULT_TEXT_MAX - 1] = 0;
    text_is(text, want);
}

/* what stands past the limit is not looked at */
static void test_long_stack(void **state)
{
    (void)state;
    struct fault_stack s;
    struct buf b;
    buf_init(&b, 2 * FAULT_STACK_MAX);
    buf_puts(&b, "E: x\n    at first (/a/b.js:1:2)\n");
    size_t head = b.n;
    buf_fill(&b, '-', FAULT_STACK_MAX - head - 1);
    buf_puts(&b, "\n  File \"/late.py\", line 1, in late\n");
    assert_true(fault_stack_read(buf_str(&b), &s));
    assert_true(str_eq(s.function, STR("first")));
    buf_reset(&b);
    buf_fill(&b, '-', FAULT_STACK_MAX);
    buf_puts(&b, "\n    at late (/a/b.js:1:2)\n");
    assert_false(fault_stack_read(buf_str(&b), &s));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_stacks), cmocka_unit_test(test_texts),
                                        cmocka_unit_test(test_long),
                                        cmocka_unit_test(test_long_stack) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
