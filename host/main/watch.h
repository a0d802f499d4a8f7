/* watch.h: reload when files change (setting `watch`). Looks at the plugin folders, the manifest and
 * the settings file; changes within 200 ms are one. Control thread. */
#ifndef MAIN_WATCH_H
#define MAIN_WATCH_H
#include <stdbool.h>

struct node;
struct watch;
/* As the configuration in force asks: *w is made, goes, or stays when nothing about it has changed. When
 * it is made anew beside a running daemon, one more reload finds what changed in between. */
void watch_adapt(struct watch **w, struct node *n, bool is_wanted);
void watch_free(struct watch *w);
#endif
