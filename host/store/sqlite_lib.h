/* sqlite_lib.h: SQLite, loaded when there is first a data directory (lazy.h). The one face of it. Any
 * thread. */
#ifndef STORE_SQLITE_LIB_H
#define STORE_SQLITE_LIB_H
#include <stdbool.h>

#include <sqlite3.h>

#define F(function) __typeof__(function) *function##_;
struct sqlite_functions {
#include "lazy/sqlite_table.h"
};
#undef F
extern struct sqlite_functions sqlite_functions;

/* Before anything else of it. false: it is not installed, or too old; *ret_why, when not NULL, says so. */
bool sqlite_load(const char **ret_why);

#include "lazy/sqlite_names.h"
#endif
