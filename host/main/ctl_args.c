#include "ctl.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

int usage_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("migctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CTL_USAGE;
}

const char *args_nearest(const char *text, const char *const *names)
{
    unsigned best = (unsigned)strlen(text) / 3 + 2;
    const char *hit = NULL;

    for (; *names; names++) {
        unsigned d = str_distance(str_of(text), str_of(*names), best);
        if (d < best) {
            best = d;
            hit = *names;
        }
    }
    return hit;
}

static const struct ctl_flag *flag_in(const struct ctl_flag *flags, str name)
{
    for (; flags && flags->name; flags++)
        if (str_eq(str_of(flags->name), name))
            return flags;
    return NULL;
}

/* "--tenant=x" and "--tenant": the part between. */
static str flag_name(const char *word)
{
    return (str){word + 2, strcspn(word + 2, "=")};
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != 0;
}

/* -h and -V are the only short ones. */
static const char *long_form(const char *word)
{
    return !strcmp(word, "-h") ? "--help" : !strcmp(word, "-V") ? "--version" : word;
}

int args_command(int argc, char **argv, const struct ctl_flag *common)
{
    for (int i = 1; i < argc; i++) {
        const char *word = long_form(argv[i]);
        if (!is_flag(word))
            return i;
        const struct ctl_flag *f = word[1] == '-' ? flag_in(common, flag_name(word)) : NULL;
        i += f && f->value && !strchr(word, '=');
    }
    return 0;
}

static bool unknown_flag(const char *word, const struct ctl_flag *common,
                         const struct ctl_flag *own)
{
    const char *names[64] = {NULL}, *near;
    size_t n = 0;

    for (const struct ctl_flag *f = common; f && f->name && n < 63; f++)
        names[n++] = f->name;
    for (const struct ctl_flag *f = own; f && f->name && n < 63; f++)
        names[n++] = f->name;
    near = word[1] == '-' ? args_nearest(word + 2, names) : NULL;
    usage_error(near ? "unknown flag %s; did you mean --%s?" : "unknown flag %s", word, near);
    return false;
}

/* "1.5" seconds as milliseconds. */
static bool to_milliseconds(const char *text, int64_t *ret)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !isfinite(seconds) || seconds < 0.001 || seconds > 86400)
        return false;
    *ret = (int64_t)(seconds * 1000);
    return true;
}

static bool store(struct ctl *c, const struct ctl_flag *f, const char *value)
{
    void *at = (char *)c + f->offset;

    if (f->kind == CTL_SWITCH) {
        if (value)
            usage_error("--%s takes no value", f->name);
        else
            *(bool *)at = true;
        return !value;
    }
    if (!value) {
        usage_error("--%s needs a value: --%s %s", f->name, f->name, f->value);
        return false;
    }
    if (f->kind == CTL_TEXT) {
        *(const char **)at = value;
        return true;
    }
    if (!to_milliseconds(value, (int64_t *)at)) {
        usage_error("--%s %s: give seconds from 0.001 to 86400", f->name, value);
        return false;
    }
    return true;
}

bool args_parse(struct ctl *c, int argc, char **argv, const struct ctl_flag *common,
                const struct ctl_flag *own)
{
    bool flags_over = false;

    c->words = argv + 1; /* words are moved to the front, over what was read already */
    for (int i = 1; i < argc; i++) {
        const char *word = long_form(argv[i]);
        if (flags_over || !is_flag(word)) {
            c->words[c->word_count++] = argv[i];
            continue;
        }
        if (!strcmp(word, "--")) {
            flags_over = true;
            continue;
        }
        const struct ctl_flag *f = NULL;
        if (word[1] == '-') {
            f = flag_in(own, flag_name(word));
            f = f ? f : flag_in(common, flag_name(word));
        }
        if (!f)
            return unknown_flag(word, common, own);
        const char *value = strchr(word, '=');
        if (value)
            value++;
        else if (f->value && i + 1 < argc)
            value = argv[++i];
        if (!store(c, f, value))
            return false;
    }
    return true;
}
