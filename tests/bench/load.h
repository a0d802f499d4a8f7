/* load.h: what the load generators share: sockets to 127.0.0.1, a clock, delays and their percentiles,
 * and the CPU time of the server. One thread; whatever goes wrong ends the program with a word why. */
#ifndef LOAD_H
#define LOAD_H
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S UINT64_C(1000000000)

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The text of a variable that must be set. */
const char *required(const char *name);

uint64_t now_ns(void);

/* As many open files as the system allows. */
void raise_files(void);

/* A connection without delays. receive_bytes: its buffer, so that a client that stops reading is soon
 * noticed; 0: the system's choice. */
int dial(int port, int receive_bytes);
void unblock(int fd);
void send_all(int fd, const char *data, size_t len);

/* Reads until the text has come, and forgets it and what was before: for heads of answers. */
void skip_until(int fd, const char *text);

/* Delays to the microsecond, those of a second and more together. */
struct delays {
    uint32_t *count; /* by microsecond */
    uint64_t total, max_ns;
};

void delays_init(struct delays *d);
void delays_clear(struct delays *d);
void delays_add(struct delays *d, uint64_t ns);
double delays_at(const struct delays *d, double share); /* microseconds */
void delays_print(const struct delays *d);              /* "p50_us": ..., for JSON */
void delays_deinit(struct delays *d);

/* CPU time of all threads of a process that live, in nanoseconds (schedstat); 0: not known. */
uint64_t cpu_ns(int pid);
/* The same of the whole process as /proc/PID/stat has it: coarse, and with threads that have ended. */
uint64_t cpu_coarse_ns(int pid);
#endif
