/* names.h: the grammars of MIG v0.1 section 1. Pure. */
#ifndef CORE_NAMES_H
#define CORE_NAMES_H
#include "base/str.h"

/* [A-Za-z0-9_][A-Za-z0-9_-]{0,63}, and not "unknown", which stands for none. */
bool name_is_tenant(str s);
/* Segments of [A-Za-z0-9_-]+ joined by dots, 1 to 200 bytes. */
bool name_is_capability(str s);
/* The same with at least one dot. */
bool name_is_topic(str s);
#endif
