/* ours SCHEMA DOCUMENT...: nanoseconds for one check of each document, one line each. */
#include "base/jsonschema.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static str read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(1 << 20);

    if (!f || !text)
        exit(1);
    size_t n = fread(text, 1, 1 << 20, f);
    fclose(f);
    return (str){text, n};
}

static void measure(const struct jschema *s, const char *path)
{
    struct arena_pool pool = {0};
    struct arena *doc_arena = arena_new(&pool, 64 << 20);
    struct json doc;
    double best = 1e18;
    bool ok = false;

    if (!json_parse(&doc, doc_arena, read_all(path), NULL))
        exit(1);
    for (int round = 0; round < 20; round++) {
        int n = 0;
        double from = now_ns(), took;
        do {
            struct arena *a = arena_new(&pool, 1 << 20); /* one per request, as in the daemon */
            ok = jschema_check(s, doc.root, a, NULL);
            arena_unref(a);
            n++;
        } while ((took = now_ns() - from) < 2e7);
        best = took / n < best ? took / n : best;
    }
    printf("%s %d %.0f\n", path, ok, best);
}

int main(int argc, char **argv)
{
    struct jschema_fault fault;
    struct jschema *s;

    if (!jschema_compile(&s, read_all(argv[1]), S(""), NULL, &fault)) {
        fprintf(stderr, "%s: %s\n", fault.pointer, fault.text);
        return 1;
    }
    for (int i = 2; i < argc; i++)
        measure(s, argv[i]);
    return 0;
}
