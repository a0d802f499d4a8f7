/* control_own.h: between the files of the control verbs. Control thread. */
#ifndef MAIN_CONTROL_OWN_H
#define MAIN_CONTROL_OWN_H
#include "base/json.h"
#include "main/node.h"

typedef void (*verb_done)(void *arg, mig_status status, str json, str message, str details);

/* args live until the verb returns; done runs once, then or later. */
struct verb_call {
    struct node *node;
    const json_value *args;
    verb_done done;
    void *arg;
};

struct verb {
    const char *name;
    void (*run)(const struct verb_call *v);
};

/* Answers with json, and frees it. */
void verb_say(const struct verb_call *v, struct buf *json);
void verb_refuse(const struct verb_call *v, mig_status status, const char *reason,
                 const char *message);
/* A string argument; empty: absent. */
str verb_text(const struct verb_call *v, str name);

/* The argument "body", and a string member of it. */
const json_value *verb_body(const struct verb_call *v);
str verb_member(const struct verb_call *v, str name);

/* A verb that goes on when the store has answered. */
struct verb_later {
    struct verb_call call; /* without args */
    struct buf json;
};
/* malloc'ed: free() it after the answer. */
struct verb_later *verb_later(const struct verb_call *v);
void verb_refuse_store(const struct verb_call *v);

/* Each ends with a row of zeros. */
extern const struct verb control_pro_verbs[];   /* control_pro.c: quotas, policies    */
extern const struct verb control_cloud_verbs[]; /* control_cloud.c: registries, usage */
#endif
