#include "unit.h"
#include "core/gate.h"

struct note {
    struct task task;
    char name;
};
static char seen[16];
static size_t seen_len;

static void see(struct task *t)
{
    seen[seen_len++] = container_of(t, struct note, task)->name;
}

struct fixture {
    struct instance i;
    struct loop *l;
    struct note n[6];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->l = loop_new(0);
    for (int i = 0; i < 6; i++)
        f->n[i] = (struct note){{.run = see}, (char)('a' + i)};
    seen_len = 0;
    *state = f;
    return 0;
}

static void run(struct fixture *f)
{
    loop_stop(f->l);
    loop_run(f->l);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gates_free(&f->i);
    loop_free(f->l);
    free(f);
    return 0;
}

static void lets_through_up_to_the_limit_and_queues_in_order(void **state)
{
    struct fixture *f = *state;
    struct gate *g = gate_of(&f->i, "a.b", 2, 2);

    assert_int_equal(gate_enter(g, f->l, &f->n[0].task), GATE_PASS);
    assert_int_equal(gate_enter(g, f->l, &f->n[1].task), GATE_PASS);
    assert_int_equal(gate_enter(g, f->l, &f->n[2].task), GATE_WAIT);
    assert_int_equal(gate_enter(g, f->l, &f->n[3].task), GATE_WAIT);
    assert_int_equal(gate_enter(g, f->l, &f->n[4].task), GATE_FULL);
    gate_leave(g);
    assert_int_equal(gate_enter(g, f->l, &f->n[4].task), GATE_WAIT); /* no overtaking */
    gate_leave(g);
    gate_leave(g);
    gate_leave(g);
    gate_leave(g);
    assert_int_equal(gate_enter(g, f->l, &f->n[5].task), GATE_PASS);
    gate_leave(g);
    run(f);
    assert_memory_equal(seen, "cde", 3);
    assert_int_equal(seen_len, 3);
}

static void one_that_gives_up_is_not_called(void **state)
{
    struct fixture *f = *state;
    struct gate *g = gate_of(&f->i, "a.b", 1, 3);

    assert_int_equal(gate_enter(g, f->l, &f->n[0].task), GATE_PASS);
    assert_int_equal(gate_enter(g, f->l, &f->n[1].task), GATE_WAIT);
    assert_int_equal(gate_enter(g, f->l, &f->n[2].task), GATE_WAIT);
    assert_true(gate_give_up(g, &f->n[1].task));
    assert_false(gate_give_up(g, &f->n[1].task));
    gate_leave(g);
    assert_false(gate_give_up(g, &f->n[2].task)); /* let through already: it must leave */
    gate_leave(g);
    run(f);
    assert_memory_equal(seen, "c", 1);
    assert_int_equal(seen_len, 1);
}

static void keeps_its_count_when_the_limit_changes(void **state)
{
    struct fixture *f = *state;
    struct gate *g = gate_of(&f->i, "a.b", 3, 4);

    for (int i = 0; i < 3; i++)
        assert_int_equal(gate_enter(g, f->l, &f->n[i].task), GATE_PASS);
    assert_int_equal(gate_enter(g, f->l, &f->n[3].task), GATE_WAIT);
    assert_ptr_equal(gate_of(&f->i, "a.b", 1, 4), g); /* a reload with a smaller limit */
    assert_ptr_not_equal(gate_of(&f->i, "a.c", 1, 4), g);
    gate_leave(g);
    gate_leave(g); /* still one runs: the one that waits must go on waiting */
    run(f);
    assert_int_equal(seen_len, 0);
    loop_free(f->l);
    f->l = loop_new(0);
    assert_true(gate_give_up(g, &f->n[3].task));
    gate_leave(g);
    assert_int_equal(gate_enter(g, f->l, &f->n[4].task), GATE_PASS);
    assert_int_equal(gate_enter(g, f->l, &f->n[5].task), GATE_WAIT);
    gate_of(&f->i, "a.b", 5, 4);
    gate_leave(g);
    run(f);
    assert_int_equal(seen_len, 1);
}

int main(void)
{
#define TG(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TG(lets_through_up_to_the_limit_and_queues_in_order),
        TG(one_that_gives_up_is_not_called),
        TG(keeps_its_count_when_the_limit_changes),
    };
    return RUN(tests);
}
