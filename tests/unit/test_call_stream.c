/* Frames out, messages in, and their credit; [pool] functions that wait for either. */
#include "call_unit.h"

static mig_status send_frame(const char *text)
{
    mig_payload p = payload(text);
    mig_status s = call_send(w.core, w.inst, w.h, &p);

    if (s == MIG_E_AGAIN)
        release(p.owner); /* still ours */
    return s;
}

static void blocked_body(void)
{
    for (int foreign = 0; foreign < 2; foreign++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(send_frame("a"), MIG_OK);
        assert_int_equal(send_frame("b"), MIG_OK);
        mig_payload copied = {mig_s("c"), NULL, NULL};
        assert_int_equal(call_send(w.core, w.inst, w.h, &copied), MIG_OK);
        assert_int_equal(send_frame("d"), MIG_E_AGAIN); /* three frames of credit */
        pump();
        assert_int_equal(w.frames_len, 0);
        assert_int_equal(w.writables, 0);
        call_flow_resume(w.c); /* still blocked */
        pump();
        assert_int_equal(w.frames_len + w.writables, 0);
        w.frame_status = MIG_OK;
        call_flow_resume(w.c);
        pump();
        assert_memory_equal(w.frames, "abc", 4);
        assert_int_equal(w.writables, 1);
        assert_int_equal(atomic_load(&w.c->credit_frames), 3);
        assert_int_equal(atomic_load(&w.c->credit_bytes), 1000);
        assert_int_equal(send_frame("e"), MIG_OK);
        assert_int_equal(finish("{}"), MIG_OK);
        pump();
        assert_memory_equal(w.frames, "abce!", 6);
        check_gone();
    }
}

static void frames_wait_keep_their_order_and_give_credit_back(void **state)
{
    (void)state;
    run(blocked_body);
}

static void end_behind_frames_body(void)
{
    for (int what = 0; what < 4; what++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(send_frame("a"), MIG_OK);
        assert_int_equal(send_frame("b"), MIG_OK);
        pump();
        assert_int_equal(finish("{\"r\":1}"), MIG_OK);
        pump();
        assert_int_equal(w.answers, 0); /* the end waits behind the frames */
        assert_int_equal(send_frame("c"), MIG_E_GONE);
        if (what == 0) {
            w.frame_status = MIG_OK;
            call_flow_resume(w.c);
        } else if (what == 1) {
            fire_deadline();
        } else if (what == 2) {
            abort_with(CALL_DISCONNECT, MIG_OK);
        } else {
            w.frame_status = MIG_E_GONE; /* the caller's side says so itself */
            call_flow_resume(w.c);
        }
        pump();
        static const char *const want[] = {"ab!", "!", "", "!"};
        assert_string_equal(w.frames, want[what]);
        if (what == 1)
            assert_int_equal(w.told.status, MIG_TIMEOUT);
        assert_int_equal(w.cancels, 0); /* it owes nothing */
        check_gone();
    }
}

static void the_end_waits_behind_frames_but_not_for_ever(void **state)
{
    (void)state;
    run(end_behind_frames_body);
}

static void drop_body(void)
{
    static const enum call_event events[] = {CALL_CANCEL, CALL_DISCONNECT, CALL_STOP};

    for (size_t i = 0; i < countof(events); i++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(send_frame("a"), MIG_OK);
        assert_int_equal(send_frame("b"), MIG_OK);
        pump();
        assert_int_equal(send_frame("c"), MIG_OK); /* still on its way to the home loop */
        abort_with(events[i], MIG_UNAVAILABLE);
        pump();
        assert_int_equal(w.releases, 3);
        assert_int_equal(send_frame("d"), MIG_E_GONE);
        pump();
        assert_int_equal(w.releases, 4);
        assert_int_equal(w.writables, 0); /* on_cancel is enough */
        assert_int_equal(w.cancels, 1);
        assert_string_equal(w.frames, events[i] == CALL_DISCONNECT ? "" : "!");
        assert_int_equal(finish("{}"), MIG_OK);
        pump();
        check_gone();
    }
}

static void frames_are_dropped_with_their_memory(void **state)
{
    (void)state;
    run(drop_body);
}

static void credit_body(void)
{
    static char big[5001];

    memset(big, 'x', sizeof big - 1);
    open_call(MIG_EXEC_LOOP, &stream_kind, 0);
    pump();
    w.frame_status = MIG_E_AGAIN;
    assert_int_equal(send_frame(big), MIG_OK); /* alone it may be bigger than all credit */
    assert_int_equal(send_frame("a"), MIG_E_AGAIN);
    pump();
    w.frame_status = MIG_OK;
    call_flow_resume(w.c);
    pump();
    assert_int_equal(w.writables, 1);
    assert_int_equal(send_frame("a"), MIG_OK);
    finish("{}");
    pump();
    check_gone();

    open_call(MIG_EXEC_LOOP, &unary_kind, 0);
    pump();
    assert_int_equal(send_frame("a"), MIG_E_ARG); /* this kind has no stream */
    pump();
    assert_int_equal(w.releases, 1);
    finish("{}");
    pump();
    check_gone();
}

static void one_big_frame_passes_and_unary_calls_have_none(void **state)
{
    (void)state;
    run(credit_body);
}

static void messages_body(void)
{
    for (int manual = 0; manual < 2; manual++) {
        open_call(MIG_EXEC_LOOP, &stream_kind, manual ? MIG_CAP_MANUAL_GRANT : 0);
        pump();
        for (int i = 0; i < 16; i++)
            assert_int_equal(call_message(w.c, S("m")), MIG_OK);
        assert_int_equal(call_message(w.c, S("x")), MIG_E_AGAIN); /* sixteen grants at first */
        pump();
        assert_int_equal(w.messages_len, 16);
        assert_int_equal(call_message(w.c, S("n")), manual ? MIG_E_AGAIN : MIG_OK);
        assert_int_equal(call_grant(w.core, w.inst, w.h, 2), MIG_OK);
        assert_int_equal(call_grant(w.core, w.other, w.h, 2), MIG_E_GONE);
        pump();
        assert_int_equal(call_message(w.c, S("o")), MIG_OK);
        call_half_close(w.c);
        call_half_close(w.c);
        pump();
        assert_int_equal(w.half_closes, 1);
        abort_with(CALL_CANCEL, MIG_TIMEOUT);
        assert_int_equal(call_message(w.c, S("p")), MIG_E_GONE);
        assert_int_equal(call_grant(w.core, w.inst, w.h, 2), MIG_E_GONE);
        pump();
        finish("{}");
        pump();
        check_gone();
    }
}

static void messages_need_grants(void **state)
{
    (void)state;
    run(messages_body);
}

struct reader {
    pthread_t thread;
    _Atomic int got;
    _Atomic bool is_over;
    mig_status last;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    mig_str json;

    while ((r->last = call_recv_wait(w.core, w.inst, w.h, &json)) == MIG_OK) {
        assert_true(json.len == 1 && json.ptr[0] == 'm');
        r->got++;
    }
    r->is_over = true;
    return NULL;
}

static void reader_body(void)
{
    for (int what = 0; what < 2; what++) {
        struct reader r = {0};
        open_call(MIG_EXEC_LOOP, &stream_kind, 256 /* no on_message */);
        pump();
        assert_int_equal(pthread_create(&r.thread, NULL, read_all, &r), 0);
        for (int sent = 0; sent < 100;) {
            sent += call_message(w.c, S("m")) == MIG_OK;
            pump();
        }
        if (what == 0) {
            call_half_close(w.c);
        } else {
            while (r.got < 100) {
                pump();
                sched_yield();
            }
            usleep(2000); /* it sleeps now */
            abort_with(CALL_DISCONNECT, MIG_OK);
        }
        while (!r.is_over) {
            pump();
            sched_yield();
        }
        pthread_join(r.thread, NULL);
        assert_int_equal(r.got, 100);
        assert_int_equal(r.last, what == 0 ? MIG_NOT_FOUND : MIG_E_GONE);
        finish("{}");
        pump();
        check_gone();
    }
}

static void a_waiting_reader_gets_all_messages_and_the_end(void **state)
{
    (void)state;
    run(reader_body);
}

struct writer {
    pthread_t thread;
    _Atomic int sent;
    _Atomic bool is_over;
    mig_status last;
};

static void *write_all(void *arg)
{
    struct writer *r = arg;
    mig_payload p;

    r->last = MIG_OK;
    while (r->sent < 100 && r->last == MIG_OK) {
        p = payload("f");
        r->last = call_send_wait(w.core, w.inst, w.h, &p);
        r->sent += r->last == MIG_OK;
    }
    r->is_over = true;
    return NULL;
}

static void writer_body(void)
{
    for (int what = 0; what < 3; what++) {
        struct writer r = {0};
        open_call(MIG_EXEC_LOOP, &stream_kind, 0);
        pump();
        if (what == 2)
            w.c->deadline_ns = clock_now_ns() + 20000000; /* waits no longer than the deadline */
        w.frame_status = MIG_E_AGAIN;
        assert_int_equal(pthread_create(&r.thread, NULL, write_all, &r), 0);
        while (r.sent < 3)
            pump();
        usleep(2000);
        assert_int_equal(r.sent, 3);
        w.frame_status = what == 0 ? MIG_OK : MIG_E_AGAIN;
        if (what == 1)
            abort_with(CALL_STOP, MIG_UNAVAILABLE);
        while (!r.is_over) {
            if (what == 0)
                call_flow_resume(w.c);
            pump();
            sched_yield();
        }
        pthread_join(r.thread, NULL);
        static const mig_status want[] = {MIG_OK, MIG_E_GONE, MIG_TIMEOUT};
        assert_int_equal(r.last, want[what]);
        assert_int_equal(r.sent, what == 0 ? 100 : 3);
        w.frame_status = MIG_OK;
        pump();
        if (what != 1)
            call_flow_resume(w.c);
        finish("{}");
        pump();
        check_gone();
    }
}

static void a_waiting_writer_is_woken_by_room_stop_and_deadline(void **state)
{
    (void)state;
    run(writer_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(frames_wait_keep_their_order_and_give_credit_back),
        T(the_end_waits_behind_frames_but_not_for_ever),
        T(frames_are_dropped_with_their_memory),
        T(one_big_frame_passes_and_unary_calls_have_none),
        T(messages_need_grants),
        T(a_waiting_reader_gets_all_messages_and_the_end),
        T(a_waiting_writer_is_woken_by_room_stop_and_deadline),
    };
    return RUN(tests);
}
