/* Prints what is generated from the tables of the settings and the manifest:
 *   gen_reference settings.md|settings.json|manifest.json
 * CI compares with docs/reference/settings.md and the two schemas in manifests/schema. */
#include "base/check.h"
#include "config/manifest.h"
#include "config/settings.h"

#include <stdio.h>

static void new_line(struct buf *out, size_t depth)
{
    buf_addc(out, '\n');
    for (size_t i = 0; i < depth; i++)
        buf_addz(out, "  ");
}

/* The length of the string token at the begin of s. */
static size_t string_len(str s)
{
    size_t i = 1;

    while (i < s.len && s.ptr[i] != '"')
        i += s.ptr[i] == '\\' ? 2 : 1;
    return i + 1;
}

/* A bracket that holds no other fits a line. */
static size_t flat_len(str s)
{
    for (size_t i = 1; i < s.len && i < 80; i++) {
        if (s.ptr[i] == '"')
            i += string_len(str_cut(s, i)) - 1;
        else if (s.ptr[i] == '}' || s.ptr[i] == ']')
            return i + 1;
        else if (s.ptr[i] == '{' || s.ptr[i] == '[')
            break;
    }
    return 0;
}

/* Compact JSON in, indented JSON out, so that a change shows as a readable diff. */
static void indent(str json, struct buf *out)
{
    size_t depth = 0, n;

    for (size_t i = 0; i < json.len; i += n) {
        str rest = str_cut(json, i);
        char c = json.ptr[i];
        n = 1;
        if (c == '"')
            n = string_len(rest);
        else if (c == '{' || c == '[')
            n = flat_len(rest) ? flat_len(rest) : 1;
        if ((c == '}' || c == ']') && depth)
            new_line(out, --depth);
        buf_add(out, (str){rest.ptr, n});
        if (n == 1 && (c == '{' || c == '['))
            new_line(out, ++depth);
        else if (c == ',')
            new_line(out, depth);
        else if (c == ':')
            buf_addc(out, ' ');
    }
    buf_addc(out, '\n');
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(struct buf *out);
        bool is_json;
    } documents[] = {
        {"settings.md", settings_reference, false},
        {"settings.json", settings_schema, true},
        {"manifest.json", manifest_schema, true},
    };
    CLEANUP(buf_deinit) struct buf raw, out;

    buf_init(&raw, 1 << 20);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; argc == 2 && i < countof(documents); i++) {
        if (!str_eq(str_of(argv[1]), str_of(documents[i].name)))
            continue;
        documents[i].write(&raw);
        if (documents[i].is_json)
            indent(buf_str(&raw), &out);
        else
            buf_add(&out, buf_str(&raw));
        return out.has_failed || fwrite(out.ptr, 1, out.len, stdout) != out.len;
    }
    fprintf(stderr, "usage: gen_reference settings.md|settings.json|manifest.json\n");
    return 2;
}
