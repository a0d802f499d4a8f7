/* new: files from the templates of the SDK. They lie in the source tree (plugin-api/) or where the
 * package put them (share/migd/templates), found from the place of this program. */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct new_file {
    const char *source, *target;
    bool only_with_manifest;
};

struct new_kind {
    const char *word;
    bool is_folder; /* files go into a folder NAME */
    struct new_file files[8];
    const char *next; /* what to say when it is done; %s: NAME */
};

static const struct new_kind kinds[] = {
    {"plugin",
     true,
     {{"template-c/@NAME@.c", "@NAME@.c", false},
      {"template-c/test_@NAME@.c", "test_@NAME@.c", false},
      {"template-c/CMakeLists.txt", "CMakeLists.txt", false},
      {"template-c/Makefile", "Makefile", false},
      {"template-c/manifest.yaml", "manifest.yaml", false},
      {"template-c/.ci.yml", ".ci.yml", false},
      {"template-c/README.md", "README.md", false}},
     "next: make -C %s, put %s/%s.so into a plugin folder, migctl reload\n"},
    {"lua",
     false,
     {{"template-lua/@NAME@.lua", "@NAME@.lua", false},
      {"template-lua/@NAME@.manifest.yaml", "@NAME@.manifest.yaml", true}},
     "next: put %s.lua into a plugin folder, migctl reload\n"},
    {"manifest",
     false,
     {{"template-manifest/@NAME@.yaml", "@NAME@.yaml", false}},
     "next: migctl validate %s.yaml, migd --manifest %s.yaml\n"},
};

bool new_is_name(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n <= 41 && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

void new_expand(struct buf *out, str template, const char *name, const char *include)
{
    const struct {
        str mark;
        const char *text;
    } marks[] = {{S("@NAME@"), name}, {S("@IDENT@"), name}, {S("@INCLUDE@"), include}};

    while (template.len) {
        size_t i = 0;
        while (i < countof(marks) && !str_starts(template, marks[i].mark))
            i++;
        if (i == countof(marks)) {
            buf_addc(out, template.ptr[0]);
            template = str_cut(template, 1);
            continue;
        }
        size_t from = out->len;
        buf_addz(out, marks[i].text);
        for (size_t k = from; i == 1 && k < out->len; k++)
            if (out->ptr[k] == '-')
                out->ptr[k] = '_';
        template = str_cut(template, marks[i].mark.len);
    }
}

/* The first of the places, from the folder of this program, that has `file` in it; as a real path.
 */
static bool find_place(const char *const *places, const char *file, char ret[PATH_MAX])
{
    char self[PATH_MAX], path[PATH_MAX + 256];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n <= 0)
        return false;
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (; *places; places++) {
        int len = snprintf(path, sizeof path, "%s/%s", self, *places);
        if (len < 0 || (size_t)len + strlen(file) + 2 > sizeof path)
            continue;
        sprintf(path + len, "/%s", file);
        if (access(path, R_OK) != 0)
            continue;
        path[len] = 0;
        return realpath(path, ret) != NULL;
    }
    return false;
}

static bool find_templates(char ret[PATH_MAX])
{
    static const char *const places[] = {"../share/migd/templates", "../../plugin-api",
                                         "../plugin-api", "../../../plugin-api", NULL};
    return find_place(places, "template-c/Makefile", ret);
}

static bool find_headers(char ret[PATH_MAX])
{
    static const char *const places[] = {"../include", "../../plugin-api/include",
                                         "../plugin-api/include", "../../../plugin-api/include",
                                         NULL};
    return find_place(places, "mig/plugin.h", ret);
}

static bool read_file(const char *path, struct buf *b)
{
    FILE *f = fopen(path, "re");
    size_t n = 1;

    while (f && n) {
        char *at = buf_reserve(b, 4096);
        n = at ? fread(at, 1, 4096, f) : 0;
        b->len += n;
    }
    bool is_read = f && !ferror(f) && !b->has_failed;
    if (f)
        fclose(f);
    return is_read;
}

/* Never over a file that is there, not even one that comes between the look and the write. */
static int write_new(const char *path, str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool is_written = fd >= 0;

    while (is_written && text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        is_written = n > 0 || errno == EINTR;
        text = str_cut(text, n > 0 ? (size_t)n : 0);
    }
    if (fd >= 0 && close(fd) != 0)
        is_written = false;
    if (is_written)
        return printf("%s\n", path), CTL_OK;
    fprintf(stderr, "migctl: %s: %s\n", path,
            errno == EEXIST ? "is there already, and stays as it is" : strerror(errno));
    return CTL_FAILED;
}

/* NAME/@NAME@.c as a path. */
static void target_path(struct buf *b, const struct new_kind *k, const struct new_file *f,
                        const char *name)
{
    buf_init(b, PATH_MAX);
    if (k->is_folder)
        buf_addf(b, "%s/", name);
    new_expand(b, str_of(f->target), name, "");
    buf_addc(b, 0);
}

static int write_one(const struct new_kind *k, const struct new_file *f, const char *templates,
                     const char *name, const char *include)
{
    CLEANUP(buf_deinit) struct buf source;
    CLEANUP(buf_deinit) struct buf template;
    CLEANUP(buf_deinit) struct buf text;
    CLEANUP(buf_deinit) struct buf target;

    buf_init(&source, 2 * PATH_MAX);
    buf_init(&template, 1 << 20);
    buf_init(&text, 2 << 20);
    target_path(&target, k, f, name);
    buf_addf(&source, "%s/%s", templates, f->source);
    buf_addc(&source, 0);
    if (!read_file(source.ptr, &template)) {
        fprintf(stderr, "migctl: template %s cannot be read\n", source.ptr);
        return CTL_FAILED;
    }
    new_expand(&text, buf_str(&template), name, include);
    return write_new(target.ptr, buf_str(&text));
}

/* Is one of the files there already? Asked for all before the first is written. */
static bool is_taken(const struct new_kind *k, const struct ctl *c, const char *name)
{
    for (const struct new_file *f = k->files; f->source; f++) {
        CLEANUP(buf_deinit) struct buf target;
        struct stat st;

        target_path(&target, k, f, name);
        if ((f->only_with_manifest && !c->has_manifest) || lstat(target.ptr, &st) != 0)
            continue;
        fprintf(stderr, "migctl: %s is there already; nothing was written\n", target.ptr);
        return true;
    }
    return false;
}

static int write_kind(const struct new_kind *k, const struct ctl *c, const char *name)
{
    char templates[PATH_MAX], include[PATH_MAX] = "";

    if (!find_templates(templates)) {
        fprintf(stderr, "migctl: no templates beside this program (../share/migd/templates)\n");
        return CTL_FAILED;
    }
    find_headers(include);
    if (is_taken(k, c, name))
        return CTL_FAILED;
    if (k->is_folder && mkdir(name, 0755) != 0 && errno != EEXIST) {
        fprintf(stderr, "migctl: %s: %s\n", name, strerror(errno));
        return CTL_FAILED;
    }
    for (const struct new_file *f = k->files; f->source; f++)
        if ((!f->only_with_manifest || c->has_manifest) &&
            write_one(k, f, templates, name, include) != CTL_OK)
            return CTL_FAILED;
    return CTL_OK;
}

static void say_next(const char *format, const char *name)
{
    for (const char *p = format; *p; p++)
        if (p[0] == '%' && p[1] == 's') {
            fputs(name, stdout);
            p++;
        } else {
            putchar(*p);
        }
}

int ctl_new(struct ctl *c)
{
    static const char *const words[] = {"plugin", "lua", "manifest", NULL};
    const char *name = c->words[1], *near;

    if (!new_is_name(name))
        return usage_error("new: \"%s\" is no name: a letter, then letters, digits, _ and -, all "
                           "lower case, at most 41",
                           name);
    for (size_t i = 0; i < countof(kinds); i++) {
        if (strcmp(kinds[i].word, c->words[0]) != 0)
            continue;
        int code = write_kind(&kinds[i], c, name);
        if (code == CTL_OK)
            say_next(kinds[i].next, name);
        return code;
    }
    near = args_nearest(c->words[0], words);
    return usage_error(near ? "new: unknown kind %s; did you mean %s?"
                            : "new: unknown kind %s; plugin, lua and manifest are known",
                       c->words[0], near);
}
