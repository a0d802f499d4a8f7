#include "abi/elf.h"

#include <elf.h>
#include <link.h>

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#elif defined(__riscv)
enum { OUR_MACHINE = EM_RISCV };
#else
enum { OUR_MACHINE = EM_NONE }; /* the loader will say it */
#endif

static bool is_within(str file, uint64_t offset, uint64_t size)
{
    return offset <= file.len && size <= file.len - offset;
}

static const char *segment_fault(str file, const ElfW(Phdr) * p)
{
    if (p->p_type != PT_LOAD && p->p_type != PT_DYNAMIC)
        return NULL;
    if (!is_within(file, p->p_offset, p->p_filesz))
        return "the file is cut short: a segment lies beyond its end";
    if (p->p_filesz > p->p_memsz)
        return "a segment is larger in the file than in memory";
    return NULL;
}

const char *elf_fault(str file)
{
    ElfW(Ehdr) h;
    bool is_dynamic = false;

    if (file.len < sizeof h || memcmp(file.ptr, ELFMAG, SELFMAG) != 0)
        return "not an ELF file";
    memcpy(&h, file.ptr, sizeof h);
    if (h.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        h.e_ident[EI_DATA] != ELFDATA2LSB || (OUR_MACHINE != 0 && h.e_machine != OUR_MACHINE))
        return "built for another machine";
    if (h.e_type != ET_DYN)
        return "not a shared object";
    if (h.e_phentsize != sizeof(ElfW(Phdr)) ||
        !is_within(file, h.e_phoff, (uint64_t)h.e_phnum * sizeof(ElfW(Phdr))))
        return "the file is cut short: its program headers lie beyond its end";
    for (unsigned i = 0; i < h.e_phnum; i++) {
        ElfW(Phdr) p;
        memcpy(&p, file.ptr + h.e_phoff + i * sizeof p, sizeof p);
        const char *fault = segment_fault(file, &p);
        if (fault)
            return fault;
        is_dynamic |= p.p_type == PT_DYNAMIC;
    }
    return is_dynamic ? NULL : "not a shared object: no dynamic section";
}
