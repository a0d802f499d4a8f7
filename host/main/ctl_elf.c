#include "ctl_check.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* n bytes at offset; NULL when the file has not got them. */
static const void *part(str file, uint64_t offset, uint64_t n)
{
    return offset <= file.len && n <= file.len - offset ? file.ptr + offset : NULL;
}

static bool is_module(str file, str self, Elf64_Ehdr *ret, const char **why)
{
    Elf64_Ehdr mine;

    *why = "not an ELF file";
    if (file.len < sizeof *ret || memcmp(file.ptr, ELFMAG, SELFMAG) != 0)
        return false;
    *why = "built for another kind of machine";
    if (self.len < sizeof mine || memcmp(file.ptr + EI_CLASS, self.ptr + EI_CLASS, 2) != 0 ||
        file.ptr[EI_CLASS] != ELFCLASS64)
        return false;
    memcpy(ret, file.ptr, sizeof *ret);
    memcpy(&mine, self.ptr, sizeof mine);
    if (ret->e_machine != mine.e_machine)
        return false;
    *why = "not a shared object";
    return ret->e_type == ET_DYN;
}

/* Text at an offset of a string table, within it. */
static str name_at(str strings, uint64_t offset)
{
    if (offset >= strings.len)
        return (str){0};
    const char *p = strings.ptr + offset;
    const char *end = memchr(p, 0, strings.len - offset);
    return end ? (str){p, (size_t)(end - p)} : (str){0};
}

static void keep(char *to, size_t cap, str name)
{
    snprintf(to, cap, "%.*s", STR_ARG(name));
}

static void count_symbol(struct elf_symbols *s, const Elf64_Sym *sym, str name)
{
    unsigned bind = ELF64_ST_BIND(sym->st_info);

    if (!name.len || bind == STB_LOCAL)
        return;
    if (sym->st_shndx == SHN_UNDEF) {
        if (!str_starts(name, S("mig_")))
            return;
        if (!s->undefined++)
            keep(s->an_undefined, sizeof s->an_undefined, name);
    } else if (str_eq(name, S("mig_plugin_entry"))) {
        s->has_entry = true;
    } else if (bind != STB_WEAK && !str_starts(name, S("_")) &&
               ELF64_ST_VISIBILITY(sym->st_other) != STV_HIDDEN) {
        if (!s->exports++)
            keep(s->an_export, sizeof s->an_export, name);
    }
}

static bool count_symbols(struct elf_symbols *s, str file, const Elf64_Ehdr *head,
                          const Elf64_Shdr *table)
{
    Elf64_Shdr strings_head;
    const void *at = part(file, head->e_shoff + (uint64_t)table->sh_link * sizeof strings_head,
                          sizeof strings_head);

    if (!at || table->sh_link >= head->e_shnum)
        return false;
    memcpy(&strings_head, at, sizeof strings_head);
    const char *text = part(file, strings_head.sh_offset, strings_head.sh_size);
    const char *symbols = part(file, table->sh_offset, table->sh_size);
    if (!text || !symbols)
        return false;
    for (size_t i = 0; i < table->sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym sym;
        memcpy(&sym, symbols + i * sizeof sym, sizeof sym);
        count_symbol(s, &sym, name_at((str){text, strings_head.sh_size}, sym.st_name));
    }
    return true;
}

bool elf_scan(str file, str self, struct elf_symbols *ret, const char **why)
{
    Elf64_Ehdr head;

    *ret = (struct elf_symbols){0};
    if (!is_module(file, self, &head, why))
        return false;
    *why = "the ELF file is damaged";
    if (head.e_shentsize != sizeof(Elf64_Shdr) ||
        !part(file, head.e_shoff, (uint64_t)head.e_shnum * sizeof(Elf64_Shdr)))
        return false;
    for (size_t i = 0; i < head.e_shnum; i++) {
        Elf64_Shdr section;
        memcpy(&section, file.ptr + head.e_shoff + i * sizeof section, sizeof section);
        if (section.sh_type == SHT_DYNSYM)
            return count_symbols(ret, file, &head, &section);
    }
    *why = "the ELF file has no dynamic symbols";
    return false;
}

static str map_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    str s = {0};

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED)
            s = (str){p, (size_t)st.st_size};
    }
    if (fd >= 0)
        close(fd);
    return s;
}

bool elf_read(const char *path, struct elf_symbols *ret, const char **why)
{
    str file = map_file(path), self = map_file("/proc/self/exe");
    bool is_read = false;

    *why = "cannot be read";
    if (file.ptr)
        is_read = elf_scan(file, self, ret, why);
    if (file.ptr)
        munmap((void *)(uintptr_t)file.ptr, file.len);
    if (self.ptr)
        munmap((void *)(uintptr_t)self.ptr, self.len);
    return is_read;
}
