/* watch.h: reload when files change (setting `watch`). Looks at the plugin folders, the manifest and
 * the settings file; changes within 200 ms are one. Control thread. */
#ifndef MAIN_WATCH_H
#define MAIN_WATCH_H
struct node;
struct watch;
/* NULL when the configuration does not ask for it. */
struct watch *watch_new(struct node *n);
void watch_free(struct watch *w);
#endif
