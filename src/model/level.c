/* level.c: names and numbers of levels as loggers write them. */
#include "model/field.h"

const str level_names[LV__COUNT] = {
    { "trace", 5 }, { "debug", 5 }, { "info", 4 }, { "warn", 4 }, { "error", 5 }, { "critical", 8 },
};
const str level_names_upper[LV__COUNT] = {
    { "TRACE", 5 }, { "DEBUG", 5 }, { "INFO", 4 }, { "WARN", 4 }, { "ERROR", 5 }, { "CRITICAL", 8 },
};

static const struct {
    str name;
    enum level level;
} spellings[] = {
    { { "info", 4 }, LV_INFO },          { { "error", 5 }, LV_ERROR },
    { { "warn", 4 }, LV_WARN },          { { "warning", 7 }, LV_WARN },
    { { "debug", 5 }, LV_DEBUG },        { { "trace", 5 }, LV_TRACE },
    { { "critical", 8 }, LV_CRITICAL },  { { "fatal", 5 }, LV_CRITICAL },
    { { "notice", 6 }, LV_INFO },        { { "err", 3 }, LV_ERROR },
    { { "crit", 4 }, LV_CRITICAL },      { { "alert", 5 }, LV_CRITICAL },
    { { "emergency", 9 }, LV_CRITICAL }, { { "emerg", 5 }, LV_CRITICAL },
    { { "panic", 5 }, LV_CRITICAL },
};

bool level_parse(str s, enum level *ret)
{
    char low[16];
    if (s.n < 3 || s.n > sizeof low)
        return false;
    for (size_t i = 0; i < s.n; i++)
        low[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    str l = { low, s.n };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (str_eq(l, spellings[i].name)) {
            *ret = spellings[i].level;
            return true;
        }
    /* OpenTelemetry's short names: TRACE2 ... FATAL4 */
    char d = low[l.n - 1];
    if (d < '2' || d > '4')
        return false;
    static const str otel[] = { { "trace", 5 }, { "debug", 5 }, { "info", 4 },
                                { "warn", 4 },  { "error", 5 }, { "fatal", 5 } };
    for (int i = 0; i < LV__COUNT; i++)
        if (str_eq(str_sub(l, 0, l.n - 1), otel[i])) {
            *ret = (enum level)i;
            return true;
        }
    return false;
}

bool level_from_severity_number(int64_t n, enum level *ret)
{
    if (n < 1 || n > 24)
        return false;
    *ret = (enum level)((n - 1) / 4);
    return true;
}

bool level_from_number(int64_t n, enum level *ret)
{
    if (n % 10 == 0 && n >= 10 && n <= 60) {
        *ret = (enum level)(n / 10 - 1);
        return true;
    }
    return level_from_severity_number(n, ret);
}
