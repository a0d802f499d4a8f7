#define MINI_VERSION "1.0.0"
#include "mini.h"
