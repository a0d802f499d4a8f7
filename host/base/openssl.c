#include "base/openssl.h"
#include "base/check.h"
#include "base/lazy.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

struct openssl_functions openssl_functions;

static const struct lazy_symbol symbols[] = {
#define F(function) {#function, &openssl_functions.function##_},
#include "lazy/openssl_table.h"
#undef F
};
static struct lazy library = {"libssl.so." TEXT(OPENSSL_SHLIB_VERSION), symbols, countof(symbols)};

bool openssl_load(const char **ret_why)
{
    return lazy_load(&library, ret_why);
}
