#include "unit.h"
#include "net/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* --- a server that says what it was told to --------------------------------------------------- */

struct page {
    const char *path, *answer;
};

static int listener;
static unsigned port;
static pthread_t thread;
static const struct page *pages;
static char requests[8][2048];
static _Atomic size_t request_count;
static char self[64]; /* http://127.0.0.1:PORT */

static void answer(int fd, const char *request)
{
    char path[200] = "";

    sscanf(request, "GET %199s", path);
    for (const struct page *p = pages; p->path; p++)
        if (strcmp(p->path, path) == 0) {
            char text[4096];
            int n = snprintf(text, sizeof text, p->answer, self);
            assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
        }
}

static void *serve(void *arg)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return arg;
        char *request = requests[atomic_fetch_add(&request_count, 1) % countof(requests)];
        size_t n = 0;
        request[0] = 0;
        for (ssize_t got = 1;
             got > 0 && strncmp(request, "GET", n < 3 ? n : 3) == 0 && !strstr(request, "\r\n\r\n");
             n += (size_t)got) {
            got = recv(fd, request + n, sizeof requests[0] - 1 - n, 0);
            if (got <= 0)
                break;
            request[n + (size_t)got] = 0;
        }
        if (strncmp(request, "GET /hang", 9) != 0)
            answer(fd, request);
        else
            recv(fd, request, 1, 0); /* until the client gives up */
        close(fd);
    }
}

static int set_up(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;

    (void)state;
    memset(requests, 0, sizeof requests);
    request_count = 0;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 8) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        return -1;
    port = ntohs(at.sin_port);
    snprintf(self, sizeof self, "http://127.0.0.1:%u", port);
    return pthread_create(&thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    return 0;
}

static struct fetch_info info;
static char body[1000];
static const struct fetch_limits normal = {0};

/* "ok" or the fault. */
static const char *get_with(const char *url, const struct fetch_limits *limits, size_t size_limit)
{
    struct buf out;

    buf_init(&out, size_limit);
    bool ok = fetch_get(url, limits, &out, &info);
    assert_int_equal(ok, info.fault == NULL);
    snprintf(body, sizeof body, "%.*s", STR_ARG(buf_str(&out)));
    buf_deinit(&out);
    return ok ? "ok" : info.fault;
}

static const char *get(const char *path)
{
    char url[300];

    snprintf(url, sizeof url, "%s%s", self, path);
    return get_with(url, &normal, 1000);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void gets_a_document(void **state)
{
    static const struct page set[] = {
        {"/keys", "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=600\r\nAge: 40\r\n"
                  "Set-Cookie: a=b\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}"},
        {"/gone", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"},
        {"/plain", "HTTP/1.0 200 OK\r\n\r\nuntil the end"},
        {"/old", "HTTP/1.1 200 OK\r\nage: 700\r\ncache-control: max-age=600\r\n\r\n"},
        {0}};

    (void)state;
    pages = set;
    assert_string_equal(get("/keys"), "ok");
    assert_string_equal(body, "{\"keys\":[]}");
    assert_int_equal(info.status, 200);
    assert_true(info.has_max_age);
    assert_int_equal(info.max_age_s, 560);
    assert_string_equal(get("/gone"), "ok");
    assert_int_equal(info.status, 404);
    assert_false(info.has_max_age);
    assert_string_equal(body, "gone");
    assert_string_equal(get("/plain"), "ok");
    assert_string_equal(body, "until the end");
    assert_string_equal(get("/old"), "ok");
    assert_true(info.has_max_age);
    assert_int_equal(info.max_age_s, 0);
    for (size_t i = 0; i < request_count; i++) {
        assert_non_null(strstr(requests[i], "\r\nUser-Agent: migd/"));
        assert_null(strstr(requests[i], "\r\nCookie:"));
    }
}

static void follows_three_redirects_of_its_scheme(void **state)
{
    static const struct page set[] = {
        {"/1", "HTTP/1.1 302 Found\r\nCache-Control: max-age=9\r\nLocation: %s/2\r\n\r\n"},
        {"/2", "HTTP/1.1 301 Moved\r\nLocation: /3\r\n\r\n"},
        {"/3", "HTTP/1.1 307 Temporary\r\nLocation: /4\r\n\r\n"},
        {"/4", "HTTP/1.1 200 OK\r\n\r\nhere"},
        {"/0", "HTTP/1.1 302 Found\r\nLocation: /1\r\n\r\n"},
        {"/tls", "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\n\r\n"},
        {"/file", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"},
        {"/gopher", "HTTP/1.1 302 Found\r\nLocation: gopher://127.0.0.1/\r\n\r\n"},
        {"/user", "HTTP/1.1 302 Found\r\nLocation: http://u:p@127.0.0.1/\r\n\r\n"},
        {0}};

    (void)state;
    pages = set;
    assert_string_equal(get("/1"), "ok");
    assert_string_equal(body, "here");
    assert_false(info.has_max_age); /* the redirect's, not the document's */
    assert_string_equal(get("/0"), "redirect");
    assert_string_equal(get("/tls"), "redirect");
    assert_string_equal(get("/file"), "redirect");
    assert_string_equal(get("/gopher"), "redirect");
    assert_string_equal(get("/user"), "redirect");
    assert_int_equal(info.status, 302);
}

static void refuses_other_addresses(void **state)
{
    static const char *const bad[] = {
        "",
        "example.org/keys",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://",
        "https://",
        "http:/x",
        "gopher://127.0.0.1",
        "httpx://a",
        "http://a b/",
        "http://u:p@127.0.0.1:1/keys",
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        if (strcmp(get_with(bad[i], &normal, 1000), "url") != 0)
            print_error("%s: %s %s\n", bad[i], info.fault, info.detail);
        assert_string_equal(info.fault, "url");
        assert_true(info.detail[0]);
    }
}

static void stops_at_the_size_limit(void **state)
{
    static const struct page set[] = {
        {"/told", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n123"},
        {"/untold", "HTTP/1.1 200 OK\r\n\r\n1234567890"},
        {0}};
    char url[300];

    (void)state;
    pages = set;
    assert_string_equal(get("/told"), "too_large");
    snprintf(url, sizeof url, "%s/untold", self);
    assert_string_equal(get_with(url, &normal, 9), "too_large");
    assert_string_equal(get_with(url, &normal, 10), "ok");
    assert_string_equal(body, "1234567890");
}

static void gives_up_in_time_and_when_told(void **state)
{
    static _Atomic bool stop = true;
    const struct fetch_limits brief = {.total_ms = 60}, stopped = {.stop = &stop};
    char url[300];

    (void)state;
    snprintf(url, sizeof url, "%s/hang", self);
    assert_string_equal(get_with(url, &brief, 100), "timeout");
    assert_string_equal(get_with(url, &stopped, 100), "stopped");
}

static void says_what_went_wrong(void **state)
{
    static const struct page set[] = {{"/garbage", "nonsense\r\n\r\n"}, {0}};
    char url[300];
    int unused = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;

    (void)state;
    pages = set;
    assert_int_equal(bind(unused, (struct sockaddr *)&at, sizeof at), 0); /* and nobody listens */
    assert_int_equal(getsockname(unused, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    assert_string_equal(get_with(url, &normal, 100), "connect");
    close(unused);
    assert_string_equal(get_with("http://nowhere.invalid/", &normal, 100), "resolve");
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", port); /* speaks no TLS */
    assert_string_equal(get_with(url, &normal, 100), "tls");
    assert_string_equal(get("/garbage"), "transfer");
    assert_string_equal(get("/nothing"), "transfer");
    assert_true(info.detail[0]);
}

static const struct {
    const char *value;
    bool is_said;
    uint64_t max_age_s;
} cache_controls[] = {
    {"max-age=60", true, 60},
    {"public, Max-Age = 60 , must-revalidate", true, 60},
    {"max-age=\"60\"", true, 60},
    {"max-age=60, no-cache", true, 0},
    {"no-store", true, 0},
    {"no-cache=\"set-cookie\"", true, 0},
    {"max-age=", false, 0},
    {"max-age", false, 0},
    {"max-age=-1", false, 0},
    {"max-age=99999999999999999999999", false, 0},
    {"max-age=\"", false, 0},
    {"s-maxage=60", false, 0},
    {"", false, 0},
    {",,=,", false, 0},
};

static void reads_cache_control(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cache_controls); i++) {
        uint64_t age = 0;
        assert_int_equal(fetch_cache_control(str_of(cache_controls[i].value), &age),
                         cache_controls[i].is_said);
        assert_int_equal(age, cache_controls[i].max_age_s);
    }
    assert_false(fetch_cache_control((str){0}, &(uint64_t){0}));
}

/* --- TLS, with the openssl program as the server ---------------------------------------------- */

struct tls_server {
    char *dir;
    char ca_file[300], base[64];
    pid_t pid;
};

static bool tls_start(struct tls_server *s)
{
    char cmd[1000], line[200] = "";

    s->dir = unit_dir();
    snprintf(s->ca_file, sizeof s->ca_file, "%s/cert.pem", s->dir);
    snprintf(
        cmd, sizeof cmd,
        "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
        "key.pem -out cert.pem -subj /CN=x -addext subjectAltName=IP:127.0.0.1 2>/dev/null",
        s->dir);
    if (system(cmd) != 0)
        return false;
    unit_write(s->dir, "doc", "HTTP/1.0 200 OK\r\n\r\nsecret");
    unit_write(s->dir, "down", "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
    int to_us[2];
    assert_int_equal(pipe(to_us), 0);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
        dup2(to_us[1], 1);
        if (chdir(s->dir) == 0)
            execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-key", "key.pem",
                   "-cert", "cert.pem", "-HTTP", (char *)NULL);
        _exit(127);
    }
    close(to_us[1]);
    FILE *f = fdopen(to_us[0], "r");
    unsigned at = 0;
    while (!at && fgets(line, sizeof line, f))
        sscanf(line, "ACCEPT 127.0.0.1:%u", &at);
    fclose(f);
    snprintf(s->base, sizeof s->base, "https://127.0.0.1:%u", at);
    return at != 0;
}

static void trusts_the_given_authority_and_never_goes_back_to_http(void **state)
{
    struct tls_server s;
    char doc[100], down[100];

    (void)state;
    bool is_up = tls_start(&s);
    assert_true(is_up);
    const struct fetch_limits trusting = {.ca_file = s.ca_file};
    snprintf(doc, sizeof doc, "%s/doc", s.base);
    snprintf(down, sizeof down, "%s/down", s.base);
    assert_string_equal(get_with(doc, &normal, 100), "tls");
    assert_string_equal(get_with(doc, &trusting, 100), "ok");
    assert_string_equal(body, "secret");
    assert_string_equal(get_with(down, &trusting, 100), "redirect");
    assert_string_equal(get_with(doc, &(struct fetch_limits){.ca_file = "/nowhere"}, 100), "tls");
    kill(s.pid, SIGKILL);
    waitpid(s.pid, NULL, 0);
    unit_rm(s.dir);
}

int main(void)
{
#define TT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TT(gets_a_document),
        TT(follows_three_redirects_of_its_scheme),
        TT(refuses_other_addresses),
        TT(stops_at_the_size_limit),
        TT(gives_up_in_time_and_when_told),
        TT(says_what_went_wrong),
        T(reads_cache_control),
        T(trusts_the_given_authority_and_never_goes_back_to_http),
    };

    signal(SIGPIPE, SIG_IGN);
    setenv("no_proxy", "*", 1);
    return RUN(tests);
}
