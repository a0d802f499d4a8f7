/* builtin.h: the plugins that are linked into the daemon. They use the public ABI and nothing else. */
#ifndef MAIN_BUILTIN_H
#define MAIN_BUILTIN_H
#include "abi/module.h"
const struct module_builtin *builtin_modules(void);
#endif
