#include "core/metrics.h"
#include "base/check.h"
#include "base/prom.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAMILIES_MAX = 1024, LABELS_MAX = 4, BUCKETS_MAX = 32 };

static const char prefix[] = "mig_plugin_";

struct series {
    struct series *next;
    char *labels; /* rendered: {a="x",b="y"} or "" */
    double value; /* histograms: the sum */
    uint64_t count;
    uint64_t buckets[];
};

struct family {
    pthread_mutex_t lock;
    char *name, *help; /* the name with its prefix */
    uint32_t kind, bucket_count;
    double buckets[BUCKETS_MAX];
    char *labels[LABELS_MAX];
    size_t label_count;
    struct series *series;
};

struct metrics {
    pthread_mutex_t lock; /* registering only */
    _Atomic uint32_t count;
    struct family families[FAMILIES_MAX];
    _Atomic size_t series, max_series;
};

struct metrics *metrics_new(size_t max_series)
{
    struct metrics *m = calloc(1, sizeof *m);

    must(m && pthread_mutex_init(&m->lock, NULL) == 0);
    atomic_store(&m->max_series, max_series);
    return m;
}

static void family_deinit(struct family *f)
{
    for (struct series *s = f->series, *next; s; s = next) {
        next = s->next;
        free(s->labels);
        free(s);
    }
    for (size_t i = 0; i < f->label_count; i++)
        free(f->labels[i]);
    free(f->name);
    free(f->help);
    pthread_mutex_destroy(&f->lock);
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < atomic_load(&m->count); i++)
        family_deinit(&m->families[i]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void metrics_set_max_series(struct metrics *m, size_t max_series)
{
    atomic_store(&m->max_series, max_series);
}

/* [a-zA-Z_][a-zA-Z0-9_]* (Prometheus data model) */
static bool is_name(const char *z)
{
    if (!z || !*z || (*z >= '0' && *z <= '9'))
        return false;
    for (; *z; z++)
        if (!((*z >= 'a' && *z <= 'z') || (*z >= 'A' && *z <= 'Z') || (*z >= '0' && *z <= '9') ||
              *z == '_'))
            return false;
    return true;
}

static bool is_valid(const mig_metric *d)
{
    size_t labels = 0;

    if (!is_name(d->name) || d->kind < MIG_COUNTER || d->kind > MIG_HISTOGRAM || !d->ret_id)
        return false;
    for (const char *const *l = d->label_names; l && *l; l++)
        if (!is_name(*l) || ++labels > LABELS_MAX)
            return false;
    if (d->bucket_count > BUCKETS_MAX || (d->kind == MIG_HISTOGRAM) != (d->bucket_count > 0))
        return false;
    for (uint32_t i = 1; i < d->bucket_count; i++)
        if (!(d->buckets[i - 1] < d->buckets[i]))
            return false;
    return true;
}

static bool is_same(const struct family *f, const mig_metric *d)
{
    size_t n = 0;

    for (const char *const *l = d->label_names; l && *l; l++, n++)
        if (n >= f->label_count || strcmp(f->labels[n], *l) != 0)
            return false;
    return n == f->label_count && f->kind == d->kind && f->bucket_count == d->bucket_count &&
           (!d->bucket_count || !memcmp(f->buckets, d->buckets, d->bucket_count * sizeof(double)));
}

static void family_init(struct family *f, const mig_metric *d)
{
    must(pthread_mutex_init(&f->lock, NULL) == 0);
    must(asprintf(&f->name, "%s%s", prefix, d->name) > 0);
    f->help = str_dup(str_of(d->help ? d->help : d->name));
    f->kind = d->kind;
    f->bucket_count = d->bucket_count;
    for (uint32_t i = 0; i < d->bucket_count; i++)
        f->buckets[i] = d->buckets[i];
    for (const char *const *l = d->label_names; l && *l; l++)
        f->labels[f->label_count++] = str_dup(str_of(*l));
}

mig_status metrics_register(struct metrics *m, const mig_metric *d)
{
    mig_status status = is_valid(d) ? MIG_OK : MIG_E_ARG;
    uint32_t at = 0;

    if (status != MIG_OK)
        return status;
    pthread_mutex_lock(&m->lock);
    uint32_t count = atomic_load(&m->count);
    while (at < count && strcmp(m->families[at].name + sizeof prefix - 1, d->name) != 0)
        at++;
    if (at == FAMILIES_MAX) {
        status = MIG_E_NOMEM;
    } else if (at < count) {
        status = is_same(&m->families[at], d) ? MIG_OK : MIG_E_ARG;
    } else {
        family_init(&m->families[at], d);
        atomic_store(&m->count, count + 1);
    }
    if (status == MIG_OK)
        *d->ret_id = at + 1;
    pthread_mutex_unlock(&m->lock);
    return status;
}

static void render_labels(const struct family *f, const mig_str *values, bool is_other,
                          struct buf *out)
{
    struct prom_label labels[LABELS_MAX];

    for (size_t i = 0; i < f->label_count; i++)
        labels[i] = (struct prom_label){f->labels[i], is_other ? S("other") : values[i]};
    prom_labels(out, labels, f->label_count);
}

static struct series *find(struct family *f, str labels)
{
    for (struct series *s = f->series; s; s = s->next)
        if (str_eq(str_of(s->labels), labels))
            return s;
    return NULL;
}

/* The series of these labels, made when new; the one for "other" when there are too many. */
static struct series *series_of(struct metrics *m, struct family *f, const mig_str *values)
{
    struct series *s = NULL;
    struct buf labels;

    buf_init(&labels, 4096);
    for (int is_other = 0; is_other < 2 && !s; is_other++) {
        buf_clear(&labels);
        render_labels(f, values, is_other, &labels);
        s = labels.has_failed ? NULL : find(f, buf_str(&labels));
        bool has_room = is_other || atomic_load(&m->series) < atomic_load(&m->max_series);
        if (s || labels.has_failed || !has_room)
            continue;
        s = calloc(1, sizeof *s + f->bucket_count * sizeof s->buckets[0]);
        must(s);
        s->labels = str_dup(buf_str(&labels));
        s->next = f->series;
        f->series = s;
        atomic_fetch_add(&m->series, 1);
    }
    buf_deinit(&labels);
    return s;
}

void metrics_record(struct metrics *m, uint32_t id, const mig_str *label_values, double value)
{
    if (id == 0 || id > atomic_load(&m->count) || !isfinite(value))
        return;
    struct family *f = &m->families[id - 1];
    if (f->label_count && !label_values)
        return;
    pthread_mutex_lock(&f->lock);
    struct series *s = series_of(m, f, label_values);
    if (s) {
        s->value = f->kind == MIG_GAUGE ? value : s->value + value;
        s->count++;
        for (uint32_t i = 0; i < f->bucket_count; i++)
            s->buckets[i] += value <= f->buckets[i];
    }
    pthread_mutex_unlock(&f->lock);
}

static void text_histogram(const struct family *f, const struct series *s, struct buf *out)
{
    str inner = str_of(s->labels);

    inner = inner.len ? (str){inner.ptr + 1, inner.len - 2} : inner;
    for (uint32_t i = 0; i <= f->bucket_count; i++) {
        buf_addf(out, "%s_bucket{%.*s%s", f->name, STR_ARG(inner), inner.len ? "," : "");
        if (i < f->bucket_count)
            buf_addf(out, "le=\"%g\"} %llu\n", f->buckets[i], (unsigned long long)s->buckets[i]);
        else
            buf_addf(out, "le=\"+Inf\"} %llu\n", (unsigned long long)s->count);
    }
    buf_addf(out, "%s_sum%s %.17g\n", f->name, s->labels, s->value);
    buf_addf(out, "%s_count%s %llu\n", f->name, s->labels, (unsigned long long)s->count);
}

void metrics_text(struct metrics *m, struct buf *out)
{
    static const char *const kinds[] = {"", "counter", "gauge", "histogram"};

    for (uint32_t i = 0; i < atomic_load(&m->count); i++) {
        struct family *f = &m->families[i];
        prom_family(out, f->name, kinds[f->kind], f->help);
        pthread_mutex_lock(&f->lock);
        for (struct series *s = f->series; s; s = s->next)
            if (f->kind == MIG_HISTOGRAM)
                text_histogram(f, s, out);
            else
                buf_addf(out, "%s%s %.17g\n", f->name, s->labels, s->value);
        pthread_mutex_unlock(&f->lock);
    }
}
