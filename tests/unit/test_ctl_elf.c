/* ctl_elf.c: symbols of a module, and files that are none. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/ctl_check.h"

#include <elf.h>
#include <stdlib.h>

/* A module by hand: header, sections {null, dynsym, dynstr}, three symbols. */
struct image {
    Elf64_Ehdr head;
    Elf64_Shdr sections[3];
    Elf64_Sym symbols[4];
    char names[64];
};

static struct image module(void)
{
    static const char names[] = "\0mig_plugin_entry\0mig_host_thing\0visible";
    struct image m = {
        .head = {.e_type = ET_DYN,
                 .e_machine = EM_X86_64,
                 .e_shnum = 3,
                 .e_shoff = offsetof(struct image, sections),
                 .e_shentsize = sizeof(Elf64_Shdr)},
        .sections = {{0},
                     {.sh_type = SHT_DYNSYM,
                      .sh_link = 2,
                      .sh_offset = offsetof(struct image, symbols),
                      .sh_size = 4 * sizeof(Elf64_Sym)},
                     {.sh_type = SHT_STRTAB,
                      .sh_offset = offsetof(struct image, names),
                      .sh_size = sizeof names}},
    };
    unsigned char info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);

    memcpy(m.head.e_ident, ELFMAG, SELFMAG);
    m.head.e_ident[EI_CLASS] = ELFCLASS64;
    m.head.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(m.names, names, sizeof names);
    m.symbols[1] = (Elf64_Sym){.st_name = 1, .st_info = info, .st_shndx = 1};
    m.symbols[2] = (Elf64_Sym){.st_name = 18, .st_info = info};
    m.symbols[3] = (Elf64_Sym){.st_name = 33, .st_info = info, .st_shndx = 1};
    return m;
}

static bool scan(const struct image *m, size_t n, struct elf_symbols *s, const char **why)
{
    struct image self = module();
    char *copy = malloc(n ? n : 1); /* exact, so that sanitizers see a step too far */

    memcpy(copy, m, n);
    bool is_read = elf_scan((str){copy, n}, (str){(char *)&self, sizeof self}, s, why);
    free(copy);
    return is_read;
}

static void counts_what_matters(void **state)
{
    struct image m = module();
    struct elf_symbols s;
    const char *why;
    (void)state;

    assert_true(scan(&m, sizeof m, &s, &why));
    assert_true(s.has_entry);
    assert_int_equal(s.undefined, 1);
    assert_string_equal(s.an_undefined, "mig_host_thing");
    assert_int_equal(s.exports, 1);
    assert_string_equal(s.an_export, "visible");
}

static void says_what_else_it_is(void **state)
{
    struct image m = module();
    struct elf_symbols s;
    const char *why;
    (void)state;

    m.head.e_machine = EM_AARCH64;
    assert_false(scan(&m, sizeof m, &s, &why));
    assert_string_equal(why, "built for another kind of machine");
    m = module();
    m.head.e_type = ET_EXEC;
    assert_false(scan(&m, sizeof m, &s, &why));
    assert_string_equal(why, "not a shared object");
    m.head.e_ident[0] = 'x';
    assert_false(scan(&m, sizeof m, &s, &why));
    assert_string_equal(why, "not an ELF file");
}

static void damaged_files_are_refused(void **state)
{
    struct elf_symbols s;
    const char *why;
    struct image m = module();
    (void)state;

    for (size_t n = 0; n < offsetof(struct image, names) + 30; n += 7)
        assert_false(scan(&m, n, &s, &why));
    m.head.e_shoff = UINT64_MAX - 8;
    assert_false(scan(&m, sizeof m, &s, &why));
    m = module();
    m.sections[1].sh_link = 77;
    assert_false(scan(&m, sizeof m, &s, &why));
    m = module();
    m.sections[1].sh_size = UINT64_MAX;
    assert_false(scan(&m, sizeof m, &s, &why));
    m = module();
    m.symbols[1].st_name = 5000;
    assert_true(scan(&m, sizeof m, &s, &why));
    assert_false(s.has_entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_matters),
        cmocka_unit_test(says_what_else_it_is),
        cmocka_unit_test(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
