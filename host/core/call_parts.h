/* call_parts.h: what call.c, call_strand.c, call_end.c and call_stream.c share. Private to them. */
#ifndef CORE_CALL_PARTS_H
#define CORE_CALL_PARTS_H
#include "core/call.h"

static inline enum call_state call_state_of(uint64_t word)
{
    return (enum call_state)(word & 0xFF);
}

static inline uint64_t call_word_with(uint64_t word, enum call_state state)
{
    return (word & ~(uint64_t)0xFF) | state;
}

static inline bool call_is_generation(uint64_t word, mig_call h)
{
    return (uint32_t)(word >> 32) == (uint32_t)h.v && call_state_of(word) != CALL_FREE;
}

/* [any] The slot a handle names, whatever lives there now; NULL when there never was one. */
struct call *call_slot(struct core *core, mig_call h);
/* Home loop. What call_open() sets off. */
void call_run_start(struct call *c, struct strand_event *e);
void call_end_arrived(struct task *end_task);
void call_deadline_passed(struct timer *deadline);

/* Home loop. The frames that wait are for nobody any more. */
void call_frames_drop(struct call *c);
/* Home loop. The frames that held the end back are gone. */
void call_frames_are_out(struct call *c);
void call_messages_free(struct call *c);
#endif
