#include "edge/access_writer.h"
#include "base/line_writer.h"

#include <string.h>
#include <unistd.h>

static struct line_writer *writer; /* NULL: no access log. Set and cleared while no loop runs. */

bool access_writer_open(const char *path)
{
    const struct line_writer_config config = {.path = strcmp(path, "-") != 0 ? path : NULL,
                                              .fd = STDOUT_FILENO,
                                              .waiting_max = ACCESS_WAITING_MAX,
                                              .dropped = "{\"dropped\":"};
    writer = line_writer_open(&config);
    return writer;
}

void access_writer_add(str lines, size_t count)
{
    if (writer)
        line_writer_add(writer, lines, count);
}

void access_writer_reopen(void)
{
    if (writer)
        line_writer_reopen(writer);
}

uint64_t access_writer_dropped(void)
{
    return writer ? line_writer_dropped(writer) : 0;
}

void access_writer_close(void)
{
    line_writer_close(writer);
    writer = NULL;
}
