#include "base/yaml_guard.h"

static bool is_character(str text, size_t at, size_t *ret_len)
{
    for (size_t n = 1; n <= 4 && at + n <= text.len; n++) {
        if (text.ptr[at] == 0 || !str_is_utf8((str){text.ptr + at, n}))
            continue;
        *ret_len = n;
        return true;
    }
    return false;
}

/* False, with a finding at the first byte that is NUL or no UTF-8. */
static bool check_bytes(str text, const char *file, struct diag *d)
{
    struct diag_at at = {file, 1, 1};
    size_t i = 0, n = 0;

    if (str_is_utf8(text) && !(text.len && memchr(text.ptr, 0, text.len)))
        return true;
    for (; is_character(text, i, &n); i += n) {
        at.column++;
        if (text.ptr[i] == '\n') {
            at.line++;
            at.column = 1;
        }
    }
    if (text.ptr[i] == 0)
        diag_error(d, at, "yaml.nul", "a NUL byte (offset %zu)", i);
    else
        diag_error(d, at, "yaml.utf8", "the byte 0x%02X (offset %zu) is not UTF-8",
                   (unsigned char)text.ptr[i], i);
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Where a node may begin: at the start of a line, or behind another indicator. */
static bool may_begin_node(char before)
{
    return before && strchr("\n-?:{[,", before) != NULL;
}

static bool check_keys(str text, const char *file, struct diag *d)
{
    struct diag_at at = {file, 1, 0};
    char before = '\n'; /* the last byte that is no blank */

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : '\n';
        at.column++;
        if (c == '?' && may_begin_node(before) && (is_blank(next) || next == '\n')) {
            diag_error(d, at, "yaml.explicit_key", "explicit keys (? key) are not supported");
            return false;
        }
        if (c == '\n') {
            at.line++;
            at.column = 0;
        }
        if (!is_blank(c))
            before = c;
    }
    return true;
}

bool yaml_guard(str text, const char *file, struct diag *d)
{
    return check_bytes(text, file, d) && check_keys(text, file, d);
}
