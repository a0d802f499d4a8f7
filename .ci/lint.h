/* For the checkers alone: what Lua's headers do not say. */
struct lua_State;
int luaL_error(struct lua_State *L, const char *fmt, ...) __attribute__((noreturn));
int lua_error(struct lua_State *L) __attribute__((noreturn));
int luaL_argerror(struct lua_State *L, int arg, const char *extramsg) __attribute__((noreturn));
