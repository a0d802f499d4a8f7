/* A shared object that is no plugin. */
#include "mig/abi.h"
MIG_EXPORT extern const int something_else;
const int something_else = 1;
