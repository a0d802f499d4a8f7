#include "main/logwriter.h"
#include "base/line_writer.h"
#include "base/log.h"

#include <unistd.h>

enum { WAITING_MAX = 1 << 20 };

/* One log per process, like standard error, whose place it takes. */
static struct line_writer *writer;

static void sink(str line)
{
    line_writer_add(writer, line, 1);
}

bool logwriter_start(const char *path)
{
    const struct line_writer_config config = {
        .path = path,
        .fd = STDERR_FILENO,
        .waiting_max = WAITING_MAX,
        .dropped = "{\"level\":\"warn\",\"event\":\"log.dropped\",\"lines\":"};

    if (!(writer = line_writer_open(&config)))
        return false;
    log_set_sink(sink);
    return true;
}

void logwriter_reopen(void)
{
    line_writer_reopen(writer);
}

void logwriter_stop(void)
{
    if (!writer)
        return;
    log_set_sink(NULL);
    line_writer_close(writer);
    writer = NULL;
}

uint64_t logwriter_dropped(void)
{
    return line_writer_dropped(writer);
}
