#include "store/sqlite_lib.h"
#include "base/check.h"
#include "base/lazy.h"

struct sqlite_functions sqlite_functions;

static const struct lazy_symbol symbols[] = {
#define F(function) {#function, &sqlite_functions.function##_},
#include "lazy/sqlite_table.h"
#undef F
};
static struct lazy library = {"libsqlite3.so.0", symbols, countof(symbols)};

bool sqlite_load(const char **ret_why)
{
    return lazy_load(&library, ret_why);
}
