/* definition.c: the table given to mig.capability, checked and copied out of Lua. Every function
 * raises with the key in the message. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const definition_keys[] = {
    "id",     "version",    "summary",         "scopes", "input",  "output", "modes",
    "budget", "timeout_ms", "max_concurrency", "meta",   "invoke", NULL};
static const char *const budget_keys[] = {"cpu_ms", "memory_kb", NULL};
static const char *const modes[] = {"unary", "server_stream", "client_stream", "bidi", NULL};

/* Edit distance, small words only. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned row[33];

    if (n > 32 || m > 32)
        return 99;
    for (size_t k = 0; k <= m; k++)
        row[k] = (unsigned)k;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= m; k++) {
            unsigned best = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            best = row[k] + 1 < best ? row[k] + 1 : best;
            best = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            row[k] = best;
        }
    }
    return row[m];
}

const char *near_match(const char *word, const char *const *known)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (; *known; known++) {
        unsigned d = distance(word, *known);
        if (d < best_distance && d < strlen(*known)) {
            best = *known;
            best_distance = d;
        }
    }
    return best;
}

void definition_check_keys(lua_State *L, int table, const char *what, const char *const *known)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: keys are names, not a %s", what, luaL_typename(L, -2));
        const char *key = lua_tostring(L, -2);
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0)
            k++;
        if (*k)
            continue;
        const char *near = near_match(key, known);
        if (near)
            luaL_error(L, "%s: unknown key '%s'; did you mean '%s'?", what, key, near);
        luaL_error(L, "%s: unknown key '%s'", what, key);
    }
}

/* --- reading the definition; every function raises with the key in the message ---------------- */

static char *take(lua_State *L, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        luaL_error(L, "not enough memory");
    return copy;
}

static char *text_of(lua_State *L, const char *key, bool is_needed)
{
    char *text = NULL;

    if (lua_getfield(L, 1, key) == LUA_TSTRING) {
        if (strlen(lua_tostring(L, -1)) != lua_rawlen(L, -1))
            luaL_error(L, "mig.capability: %s holds a zero byte", key);
        text = take(L, lua_tostring(L, -1));
    } else if (!lua_isnil(L, -1) || is_needed) {
        luaL_error(L, "mig.capability: %s is a string%s, not %s", key,
                   is_needed ? " and must be there" : "", luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    return text;
}

static uint32_t number_of(lua_State *L, int table, const char *what, const char *key,
                          lua_Integer max)
{
    int is_integer = 1;

    lua_Integer v =
        lua_getfield(L, table, key) == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &is_integer);
    if (!lua_isnil(L, -1) && (lua_type(L, -1) != LUA_TNUMBER || !is_integer || v < 1 || v > max))
        luaL_error(L, "%s: %s is a whole number from 1 to %I", what, key, (LUAI_UACINT)max);
    lua_pop(L, 1);
    return (uint32_t)v;
}

static char *json_of(lua_State *L, struct state *st, const char *key)
{
    char *text = NULL;

    if (lua_getfield(L, 1, key) == LUA_TTABLE) {
        json_write_sorted(L, st, -1, key);
        text = malloc(st->out.len + 1);
        if (!text)
            luaL_error(L, "not enough memory");
        memcpy(text, st->out.ptr, st->out.len);
        text[st->out.len] = 0;
        if (*text != '{')
            free(text), luaL_error(L, "mig.capability: %s is an object, not a list", key);
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "mig.capability: %s is a table, not %s", key, luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    return text;
}

static void read_scopes(lua_State *L, struct cap_def *d)
{
    if (lua_getfield(L, 1, "scopes") == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    if (!lua_istable(L, -1))
        luaL_error(L, "mig.capability: scopes is a list of strings");
    size_t n = lua_rawlen(L, -1);
    d->scopes = calloc(n + 1, sizeof *d->scopes);
    if (!d->scopes)
        luaL_error(L, "not enough memory");
    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "mig.capability: scopes is a list of strings");
        d->scopes[i] = take(L, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_modes(lua_State *L, struct cap_def *d)
{
    d->modes = 0;
    if (lua_getfield(L, 1, "modes") == LUA_TNIL)
        d->modes = MIG_MODE_UNARY;
    else if (!lua_istable(L, -1) || lua_rawlen(L, -1) == 0)
        luaL_error(L, "mig.capability: modes is a list, such as { \"unary\" }");
    size_t n = d->modes ? 0 : lua_rawlen(L, -1);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        uint32_t bit = 0;
        for (uint32_t k = 0; modes[k]; k++)
            if (!strcmp(modes[k], name))
                bit = 1u << k; /* MIG_MODE_* in this order */
        if (!bit) {
            const char *near = near_match(name, modes);
            luaL_error(L, "mig.capability: unknown mode '%s'%s%s%s", name,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        d->modes |= bit;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_budget(lua_State *L, struct cap_def *d)
{
    if (lua_getfield(L, 1, "budget") != LUA_TNIL) {
        if (!lua_istable(L, -1))
            luaL_error(L, "mig.capability: budget is a table, such as { cpu_ms = 20 }");
        int table = lua_gettop(L);
        definition_check_keys(L, table, "mig.capability: budget", budget_keys);
        d->cpu_ms = number_of(L, table, "mig.capability: budget", "cpu_ms", 3600000);
        d->memory_kb = number_of(L, table, "mig.capability: budget", "memory_kb", 1 << 30);
    }
    lua_pop(L, 1);
}

static bool is_id(const char *id) /* words of [a-z0-9_-] joined by dots, at least two */
{
    bool has_dot = false, in_word = false;

    for (const char *p = id; *p; p++) {
        if (*p == '.') {
            if (!in_word)
                return false;
            has_dot = true;
            in_word = false;
        } else if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                   (*p >= '0' && *p <= '9') || *p == '_' || *p == '-') {
            in_word = true;
        } else {
            return false;
        }
    }
    return has_dot && in_word;
}

static bool is_version(const char *v)
{
    unsigned a, b, c;
    int n = 0;
    return sscanf(v, "%u.%u.%u%n", &a, &b, &c, &n) == 3 &&
           (v[n] == 0 || v[n] == '-' || v[n] == '+');
}

void definition_deinit(struct cap_def *d)
{
    free(d->id), free(d->version), free(d->summary);
    free(d->input), free(d->output), free(d->meta), free(d->canon);
    for (char **s = d->scopes; s && *s; s++)
        free(*s);
    free(d->scopes);
    *d = (struct cap_def){0};
}

void definition_read(lua_State *L, struct state *st, struct cap_def *d)
{
    definition_check_keys(L, 1, "mig.capability", definition_keys);
    d->id = text_of(L, "id", /*is_needed=*/true);
    if (!is_id(d->id))
        luaL_error(L, "mig.capability: id '%s' is not of the form \"domain.noun.verb\"", d->id);
    d->version = text_of(L, "version", true);
    if (!is_version(d->version))
        luaL_error(L, "mig.capability: version '%s' is not of the form \"1.0.0\"", d->version);
    d->summary = text_of(L, "summary", false);
    d->input = json_of(L, st, "input");
    d->output = json_of(L, st, "output");
    d->meta = json_of(L, st, "meta");
    d->timeout_ms = number_of(L, 1, "mig.capability", "timeout_ms", 24 * 3600 * 1000);
    d->max_concurrency = number_of(L, 1, "mig.capability", "max_concurrency", 1 << 30);
    read_scopes(L, d);
    read_modes(L, d);
    read_budget(L, d);

    struct buf b = {.limit = 16 * 1024 * 1024};
    bool ok =
        buf_addf(&b, "%s\n%s\n%s\n%s\n%s\n%s\n", d->id, d->version, d->summary ? d->summary : "",
                 d->input ? d->input : "", d->output ? d->output : "", d->meta ? d->meta : "");
    ok = ok && buf_addf(&b, "%u %u %u %u %u", d->modes, d->max_concurrency, d->timeout_ms,
                        d->cpu_ms, d->memory_kb);
    for (char **s = d->scopes; s && *s; s++)
        ok = ok && buf_addf(&b, " %s", *s);
    if (!ok || !buf_add(&b, "", 1))
        free(b.ptr), luaL_error(L, "not enough memory");
    d->canon = b.ptr;
}
