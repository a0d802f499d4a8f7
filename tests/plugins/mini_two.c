#define MINI_VERSION "2.0.0"
#include "mini.h"
