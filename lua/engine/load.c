/* load.c: the files of a script. Each is read once per instance, so all states run the same text;
 * only text below the script's folder, never bytecode. Failures are logged the way a compiler
 * would: FILE:LINE:COLUMN: text, with {"file","line","column"} beside it. */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- files --------------------------------------------------------------------------------- */

static char *read_text(const char *path, size_t *ret_len, const char **ret_why)
{
    FILE *f = fopen(path, "rbe");
    struct stat sb;

    if (!f) {
        *ret_why = strerror(errno);
        return NULL;
    }
    char *text = NULL;
    if (fstat(fileno(f), &sb) != 0 || !S_ISREG(sb.st_mode))
        *ret_why = "not a regular file";
    else if (sb.st_size > SCRIPT_MAX)
        *ret_why = "the file is longer than 1 MiB";
    else if (!(text = malloc((size_t)sb.st_size + 1)))
        *ret_why = "not enough memory";
    if (text) {
        *ret_len = fread(text, 1, (size_t)sb.st_size, f);
        text[*ret_len] = 0;
    }
    fclose(f);
    return text;
}

/* Takes path and text, also on failure. */
static struct source *source_add(struct engine *e, char *path, char *text, size_t len)
{
    struct source *grown = realloc(e->sources, (e->source_count + 1) * sizeof *grown);
    char *shown = strdup(path + strlen(e->dir) + 1);

    if (grown)
        e->sources = grown;
    if (!grown || !shown) {
        free(path);
        free(text);
        free(shown);
        return NULL;
    }
    struct source *s = &grown[e->source_count++];
    *s = (struct source){.path = path, .shown = shown, .text = text, .len = len};
    return s;
}

void load_report_file(struct engine *e, const char *path, const char *text)
{
    struct buf b = {.limit = 64 * 1024}, f = {.limit = 64 * 1024};

    buf_addf(&b, "%s: %s", path, text);
    buf_add(&b, "", 1);
    buf_addf(&f, "{\"file\":");
    buf_add_quoted(&f, path, strlen(path));
    buf_addf(&f, "}");
    engine_log(e, MIG_LOG_ERROR, b.ptr ? b.ptr : text, f.ptr, f.len);
    buf_deinit(&b);
    buf_deinit(&f);
}

mig_status load_script(struct engine *e, const char *path)
{
    const char *why = "";
    size_t len = 0;
    char *real = realpath(path, NULL);

    if (!real) {
        load_report_file(e, path, strerror(errno));
        return MIG_INVALID_REQUEST;
    }
    char *text = read_text(real, &len, &why);
    if (!text) {
        load_report_file(e, real, why);
        free(real);
        return MIG_INVALID_REQUEST;
    }
    e->dir = strdup(real);
    if (e->dir)
        *strrchr(e->dir, '/') = 0;
    if (!e->dir) {
        free(real);
        free(text);
        return MIG_E_NOMEM;
    }
    return source_add(e, real, text, len) ? MIG_OK : MIG_E_NOMEM;
}

/* --- errors -------------------------------------------------------------------------------- */

static const struct source *source_of(struct engine *e, const char *shown, size_t len)
{
    for (uint32_t i = 0; i < e->source_count; i++)
        if (strlen(e->sources[i].shown) == len && !memcmp(e->sources[i].shown, shown, len))
            return &e->sources[i];
    return NULL;
}

static const char *line_start(const struct source *s, unsigned line)
{
    const char *at = s->text;

    while (at && line-- > 1) {
        at = memchr(at, '\n', (size_t)(s->text + s->len - at));
        at = at ? at + 1 : NULL;
    }
    return at;
}

/* Does the text up to `end` fail in the same way as the whole? */
static bool fails_alike(lua_State *L, const struct source *s, const char *end, const char *near)
{
    bool is = luaL_loadbufferx(L, s->text, (size_t)(end - s->text), "=x", "t") == LUA_ERRSYNTAX;

    if (is) {
        const char *message = lua_tostring(L, -1);
        size_t len = strlen(message), near_len = strlen(near);
        is = len >= near_len && !strcmp(message + len - near_len, near);
    }
    lua_pop(L, 1);
    return is;
}

/* Where the token that Lua complains about begins: "... near 'x'". Lua gives only the line; the
 * token is the first on it with which a text that ends there fails alike. 0: unknown. */
static unsigned column_of(lua_State *L, const struct source *s, unsigned line, const char *message)
{
    const char *start = line_start(s, line), *end = s->text + s->len;
    const char *near = NULL;

    for (const char *p = strstr(message, " near "); p; p = strstr(p + 1, " near "))
        near = p + 6;
    if (!start || !near)
        return 0;
    const char *eol = memchr(start, '\n', (size_t)(end - start));
    if (eol)
        end = eol;
    if (!strncmp(near, "<eof>", 5))
        return (unsigned)(end - start) + 1;
    const char *close = strrchr(near, '\'');
    if (*near != '\'' || close <= near + 1)
        return 0;
    size_t len = (size_t)(close - near - 1);
    for (const char *at = start; (at = memmem(at, (size_t)(end - at), near + 1, len)); at++)
        if (fails_alike(L, s, at + len, near))
            return (unsigned)(at - start) + 1;
    return 0;
}

/* "weather.lua:3: text" to "/srv/weather.lua:3:7: text" and fields. */
static void report(struct state *st, const char *message)
{
    struct engine *e = st->engine;
    struct buf line = {.limit = 64 * 1024}, fields = {.limit = 64 * 1024};
    const struct source *s = NULL;
    unsigned at_line = 0, column = 0;
    int n = 0;

    for (const char *p = strchr(message, ':'); p && !s; p = strchr(p + 1, ':')) {
        if (sscanf(p, ":%u: %n", &at_line, &n) != 1 || n == 0)
            continue;
        s = source_of(e, message, (size_t)(p - message));
        if (s) {
            message = p + n;
            break;
        }
    }
    if (!s)
        at_line = 0;
    const char *path = s ? s->path : e->sources[0].path;
    if (s)
        column = column_of(st->L, s, at_line, message);

    buf_addf(&line, "%s:", path);
    if (at_line)
        buf_addf(&line, "%u:", at_line);
    if (column)
        buf_addf(&line, "%u:", column);
    buf_addf(&line, " %s", message);
    buf_add(&line, "", 1);
    buf_addf(&fields, "{\"file\":");
    buf_add_quoted(&fields, path, strlen(path));
    if (at_line)
        buf_addf(&fields, ",\"line\":%u", at_line);
    if (column)
        buf_addf(&fields, ",\"column\":%u", column);
    buf_addf(&fields, "}");
    engine_log(e, MIG_LOG_ERROR, line.ptr ? line.ptr : message, fields.ptr, fields.len);
    buf_deinit(&line);
    buf_deinit(&fields);
}

/* --- chunks -------------------------------------------------------------------------------- */

/* Lua up to 5.4.4 generates wrong code for `local _ENV <const>`. */
static void refuse_const_env(lua_State *L, const struct source *s)
{
    unsigned line = 1;

    for (const char *p = s->text; p < s->text + s->len; p++) {
        line += *p == '\n';
        if (strncmp(p, "_ENV", 4) != 0)
            continue;
        const char *after = p + 4 + strspn(p + 4, " \t\r\n");
        if (*after == '<')
            luaL_error(L, "%s:%d: _ENV cannot have an attribute here", s->shown, (int)line);
    }
}

static void push_chunk(lua_State *L, struct state *st, const struct source *s)
{
    refuse_const_env(L, s);
    lua_pushfstring(L, "@%s", s->shown);
    if (luaL_loadbufferx(L, s->text, s->len, lua_tostring(L, -1), "t") != LUA_OK) {
        if (s->len && s->text[0] == LUA_SIGNATURE[0])
            luaL_error(L, "%s:1: bytecode is refused, scripts are text", s->shown);
        lua_error(L);
    }
    lua_remove(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->env_ref);
    lua_setupvalue(L, -2, 1); /* a main chunk has one upvalue: _ENV */
}

static int run_top_level(lua_State *L)
{
    struct state *st = lua_touserdata(L, 1);

    push_chunk(L, st, &st->engine->sources[0]);
    lua_call(L, 0, 0);
    capability_settle(L, st);
    return 0;
}

mig_status load_state(struct state *st)
{
    lua_State *L = st->L;

    lua_pushcfunction(L, run_top_level);
    lua_pushlightuserdata(L, st);
    budget_load_begin(st);
    int status = lua_pcall(L, 1, 0, 0);
    budget_load_end(st);
    st->is_loading = false;
    if (status == LUA_OK)
        return MIG_OK;

    const char *message = "the error is not a text";
    if (lua_type(L, -1) == LUA_TSTRING) {
        message = lua_tostring(L, -1);
    } else if (error_is(L, -1)) {
        lua_pushliteral(L, "message");
        lua_rawget(L, -2);
        if (lua_type(L, -1) == LUA_TSTRING)
            message = lua_tostring(L, -1);
    }
    report(st, message);
    lua_settop(L, 0);
    return MIG_INVALID_REQUEST;
}

/* --- require ------------------------------------------------------------------------------- */

static const struct source *find_module(lua_State *L, struct engine *e, const char *name)
{
    const char *why = "";
    size_t len = 0;

    luaL_argcheck(L,
                  *name && *name != '.' && !strstr(name, "..") && strlen(name) < 200 &&
                      strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-.") == strlen(name),
                  1, "module names are words joined by dots");
    luaL_gsub(L, name, ".", "/");
    const char *shown = lua_pushfstring(L, "%s.lua", lua_tostring(L, -1));
    const struct source *s = source_of(e, shown, strlen(shown));
    if (s)
        return s;
    const char *path = lua_pushfstring(L, "%s/%s", e->dir, shown);
    char *real = realpath(path, NULL);
    size_t dir_len = strlen(e->dir);
    if (!real) {
        luaL_error(L, "module '%s' not found: no file %s below the script's folder", name, shown);
    } else if (strncmp(real, e->dir, dir_len) != 0 || real[dir_len] != '/') {
        free(real);
        luaL_error(L, "module '%s' is outside the script's folder", name);
    }
    char *text = read_text(real, &len, &why);
    if (!text) {
        free(real);
        luaL_error(L, "module '%s': %s", name, why);
    }
    s = source_add(e, real, text, len);
    if (!s)
        luaL_error(L, "not enough memory");
    return s;
}

int load_require(lua_State *L)
{
    struct state *st = state_of(L);
    const char *name = luaL_checkstring(L, 1);

    lua_settop(L, 1);
    if (!strcmp(name, "mig")) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, st->mig_ref);
        return 1;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->modules_ref); /* 2 */
    if (lua_getfield(L, 2, name) == LUA_TLIGHTUSERDATA)
        return luaL_error(L, "module '%s' requires itself", name);
    if (!lua_isnil(L, -1))
        return 1;
    if (!st->is_loading)
        return luaL_error(L, "require reads files, which is only possible while the script loads");
    lua_pushlightuserdata(L, st);
    lua_setfield(L, 2, name);
    push_chunk(L, st, find_module(L, st->engine, name));
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}
