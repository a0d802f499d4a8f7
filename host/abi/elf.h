/* elf.h: is a file fit to be given to the loader? dlopen() trusts sizes in the file: one that is cut
 * short (a copy still under way) kills the process with SIGBUS. Pure. */
#ifndef ABI_ELF_H
#define ABI_ELF_H
#include "base/str.h"

/* NULL: a whole shared object for this machine; otherwise a static text that says why not. */
const char *elf_fault(str file);
#endif
