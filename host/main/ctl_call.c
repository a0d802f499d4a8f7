/* One request of the command line and its answer, with the words for what may go wrong. */
#include "ctl.h"

#include <errno.h>
#include <stdlib.h>

enum { DEFAULT_TIMEOUT_MS = 30000, TOKEN_MAX = 65536 };

/* What is wrong with the connection, told once. Returns the exit code. */
int http_say_fault(const struct ctl *c, const struct http_job *j)
{
    if (j->exit_code == CTL_NOT_RUNNING)
        fprintf(stderr, "migctl: migd is not running at %s (%s)\n", c->url, j->fault);
    else
        fprintf(stderr, "migctl: no answer from %s: %s\n", c->url, j->fault);
    return j->exit_code;
}

int http_call(const struct ctl *c, const char *method, const char *path, str body, struct reply *r)
{
    CLEANUP(http_freep) struct http *h = http_new(c);
    CLEANUP(buf_deinit) struct buf heads = {0};
    struct http_job *j;
    int code = CTL_OK;

    *r = (struct reply){0};
    buf_init(&r->body, HTTP_ANSWER_MAX);
    buf_init(&heads, HTTP_HEAD_MAX);
    if (!h || !http_default_heads(c, path, &heads))
        return CTL_USAGE;
    j = http_start(h, &(struct http_ask){
                          .method = method,
                          .path = path,
                          .heads = buf_str(&heads),
                          .body = body.len ? body : (str){0},
                          .timeout_ms = c->timeout_ms ? c->timeout_ms : DEFAULT_TIMEOUT_MS,
                      });
    while (!j->is_done)
        http_pump(h, -1, 60000);
    if (j->fault && j->status < 400) { // a refusal may come before the whole request is sent
        code = http_say_fault(c, j);
    } else {
        r->status = j->status;
        buf_add(&r->body, buf_str(&j->body));
    }
    http_job_free(h, j);
    return code;
}

/* The first line of a file, malloc'ed. NULL: a usage error was printed. */
static char *read_token(const char *path)
{
    char text[TOKEN_MAX];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    str line = {text, n};
    bool is_long = n == sizeof text;

    if (!f || ferror(f)) {
        usage_error("--token @%s: %s", path, strerror(errno));
        if (f)
            fclose(f);
        return NULL;
    }
    fclose(f);
    line = str_trim(str_split(&line, '\n'));
    if (!line.len || is_long) {
        usage_error("--token @%s: there is no token in the first line", path);
        return NULL;
    }
    return str_dup(line);
}

bool token_read(const char *given, char **ret_token)
{
    if (!given)
        return true;
    *ret_token = *given == '@' ? read_token(given + 1) : str_dup(str_of(given));
    return *ret_token != NULL;
}
