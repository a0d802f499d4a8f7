/* reload.h: builds generations from files and publishes them, one at a time. Everything here is the
 * control thread's, except the build, which runs on the job thread. */
#ifndef MAIN_RELOAD_H
#define MAIN_RELOAD_H
#include "abi/module.h"
#include "base/diag.h"
#include "config/settings.h"
#include "core/core.h"

struct reloader;

struct schemas;

struct reload_ask {
    bool is_dry_run;
    const char *manifest;     /* new text of the manifest file; NULL: as it is on disk     */
    const char *capabilities; /* new JSON array of admin upserts; NULL: as they are        */
    const char *fresh;        /* name of an instance that shall be made anew; NULL: none   */
    /* Called with the arg of reload_ask() when its turn has come, so that what it changes is what is
     * in force then: it may set capabilities (malloc'ed) and schemas (a reference). NULL: neither. */
    void (*fill)(void *arg, struct reload_ask *ask);
    struct schemas *schemas; /* set by fill: the registered schemas that shall hold          */
};

/* json: the plan and what came of it. d: findings, errors when it was refused. */
typedef void (*reload_done)(void *arg, bool is_ok, str json, const struct diag *d);

struct reloader *reloader_new(struct core *core, struct modules *modules,
                              const struct settings_source *src);
void reloader_free(struct reloader *r);
/* Control thread: fn(arg) after each generation that was adopted. */
void reloader_on_adopted(struct reloader *r, void (*fn)(void *arg), void *arg);
/* For asks that nobody waits for: the reloader has logged what came of them. */
void reload_unheard(void *arg, bool is_ok, str json, const struct diag *d);
/* Control thread. done runs there, once. Plain asks that wait are merged. While the node stops,
 * everything is refused. */
void reload_ask(struct reloader *r, const struct reload_ask *ask, reload_done done, void *arg);
/* Is a build under way, or waiting? A stop lets it end first. */
bool reload_is_busy(const struct reloader *r);
/* The admin upserts in force, a JSON array. */
const char *reload_capabilities(const struct reloader *r);
/* The registered schemas in force. */
struct schemas *reload_schemas(const struct reloader *r);
/* Those of the generation that is built now. Job thread. */
const struct schemas *reload_schemas_building(const struct reloader *r);
/* What was stored; both are taken. Before the first ask. */
void reload_restore(struct reloader *r, char *capabilities, struct schemas *schemas);
/* Folders and files that a watch should look at: settings, manifest, plugin folders. */
const struct str_list *reload_watched(const struct reloader *r);
/* The settings of the generation in force; NULL before the first. */
const struct settings *reload_settings(const struct reloader *r);
bool reload_is_watching(const struct reloader *r);
#endif
