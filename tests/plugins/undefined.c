/* Needs a symbol that nobody has: the loader must refuse it at once, not at the first call. */
#define MINI_VERSION "1.0.0"
#include "mini.h"
void nobody_has_this_function(void);
MIG_EXPORT void use_it(void);
void use_it(void)
{
    nobody_has_this_function();
}
