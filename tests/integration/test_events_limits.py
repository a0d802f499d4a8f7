"""Topics at their limits: slow readers, retention, replay that is throttled (mig-core.md 7.1, 7.4)."""
import time

import pytest
from helpers.daemon import SLOW, Daemon
from helpers.events import Slow, fill, is_silent, messages, parallel, publish, sequences, subscribe
from helpers.http import eventually

BLOB = {"blob": "x" * 8000}
MUCH = 1000  # of those: more than all buffers between daemon and reader hold
SHARED = {"settings": {"loops": 2, "mig.event_max_per_topic": 5000}}


@pytest.fixture(scope="module", autouse=True)
def patient(tmp_path_factory):
    """A daemon that things happen to with time: begun first, looked at by the last tests of the file."""
    folder = tmp_path_factory.mktemp("patient")
    d = Daemon(folder / "migd", {"mig.event_max_age_s": 1, "mig.data_dir": str(folder / "data")}).start()
    fill(d, "age.topic", 600)
    d.quiet = subscribe(d, "age.quiet", timeout=40)
    assert d.quiet.next().name == "retry"
    d.began = time.monotonic()
    yield d
    d.quiet.close()
    assert not d.faults()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Little is kept, and little may be replayed."""
    d = Daemon(tmp_path_factory.mktemp("small") / "migd",
               {"mig.event_max_per_topic": 10, "mig.replay_quota": 25}).start()
    yield d
    assert not d.faults()


def first_kept(d, topic, cursor=0):
    """What a subscription from the cursor on is told: (gap or None, the first event's sequence or None)."""
    gap = None
    with subscribe(d, topic, resume_cursor=cursor) as s:
        try:
            while (e := s.next(0.5)).name != "mig-event":
                gap = e.json if e.name == "mig-control" else gap
            return gap, e.json["sequence"]
        except TimeoutError:
            return gap, None


# --- slow readers -----------------------------------------------------------------------------------

def judge_notices(records, max_inflight):
    """Each notice: the right lag behind the event before it."""
    seen, notices = 0, []
    for e in records:
        if e.name == "mig-event":
            assert e.json["sequence"] == seen + 1, "nothing is lost, nothing comes twice"
            seen += 1
        else:
            assert e.name == "mig-backpressure", e
            n = e.json
            assert n["topic"] and n["max_inflight"] == max_inflight and n["lag"] > max_inflight
            assert n["lag"] == n["last_sequence"] - seen
            notices.append(n)
    return notices


def test_a_slow_reader_is_told_and_loses_nothing(shared):
    with Slow(shared, "slow.topic", max_inflight=7) as slow, subscribe(shared, "slow.topic") as quick:
        began, seen = time.monotonic(), []
        parallel([lambda: fill(shared, "slow.topic", MUCH, BLOB),
                  lambda: seen.extend(messages(quick, MUCH, may_lag=True))])
        assert sequences(seen) == list(range(1, MUCH + 1))
        assert time.monotonic() - began < 15 * SLOW, "others do not wait for it"
        records = slow.until(MUCH)
        notices = judge_notices(records, 7)
        assert len(notices) == 1 and notices[0]["last_sequence"] == MUCH
        assert not any(e.json["replay"] for e in records if e.name == "mig-event")
        assert sequences(messages(slow, len(fill(shared, "slow.topic", 5)))) == \
            list(range(MUCH + 1, MUCH + 6)), "it has caught up"
        fill(shared, "slow.topic", MUCH, BLOB)  # and the next episode has a notice of its own
        again = slow.until(2 * MUCH + 5)
        assert [e.name for e in again].count("mig-backpressure") == 1
        assert [e.json["sequence"] for e in again if e.name == "mig-event"] == \
            list(range(MUCH + 6, 2 * MUCH + 6))


def test_a_reader_within_max_inflight_is_not_slow(shared):
    """Large events: the queue is full, but it is not that many events behind."""
    large = {"blob": "x" * 1_000_000}
    with Slow(shared, "slow.large", max_inflight=1024) as slow:
        fill(shared, "slow.large", 15, large)
        records = slow.until(15)
    assert judge_notices(records, 1024) == [] and len(records) == 15


def test_a_slow_replay_is_told_too(shared):
    fill(shared, "slow.replay", MUCH, BLOB)
    with Slow(shared, "slow.replay", resume_cursor=0) as slow:
        time.sleep(1.2)
        records = slow.until(MUCH)
    assert len(judge_notices(records, 32)) == 1


def test_slow_readers_that_leave_are_forgotten(migd):
    d = migd()
    slow = [Slow(d, "slow.leave", consumer_id=f"c{i}") for i in range(8)]
    fill(d, "slow.leave", MUCH, BLOB)
    [s.close() for s in slow]
    eventually(lambda: d.http.instance("http")[0]["debt"] == 0)
    with subscribe(d, "slow.leave", resume_cursor=MUCH - 5) as s:
        assert sequences(messages(s, 5)) == list(range(MUCH - 4, MUCH + 1))


def test_a_reader_that_takes_nothing_is_cut_off(migd):
    d = migd({"http.write_timeout_ms": 500})
    with Slow(d, "slow.stuck") as slow:
        fill(d, "slow.stuck", MUCH, BLOB)
        eventually(lambda: d.http.instance("http")[0]["debt"] == 0)
        assert slow.sock.fileno() >= 0


def test_retention_overtakes_a_slow_reader(migd):
    d = migd({"mig.event_max_per_topic": 50})
    with Slow(d, "slow.over", max_inflight=1) as slow:
        fill(d, "slow.over", MUCH, BLOB)
        records = slow.until(MUCH)
    seen, gaps = 0, []
    for e in records:
        if e.name == "mig-event":
            assert e.json["sequence"] == seen + 1
            seen += 1
        elif e.name == "mig-control":
            gap = e.json
            assert gap == {"type": "gap", "from": seen + 1, "to": gap["to"]} and gap["to"] > seen
            gaps.append(gap)
            seen = gap["to"]
    assert gaps and seen == MUCH


def test_a_block_that_was_read_is_not_kept_for_an_idle_reader(migd):
    """Replay goes from the store over to what is in memory; the rest of the block is given back."""
    d = migd({"mig.replay_rate": 100000}, env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    fill(d, "slow.block", 300, {"blob": "x" * 3800})
    with subscribe(d, "slow.block", resume_cursor=0) as s:
        messages(s, 300)
    before = d.rss_kib()
    streams = [subscribe(d, "slow.block", resume_cursor=0) for _ in range(60)]
    [messages(s, 300) for s in streams]
    grown = d.rss_kib() - before
    [s.close() for s in streams]
    assert grown < 60 * 250, f"{grown} KiB for 60 readers"


# --- retention --------------------------------------------------------------------------------------

def test_so_many_events_are_kept(small):
    fill(small, "keep.count", 40)
    eventually(lambda: first_kept(small, "keep.count") == ({"type": "gap", "from": 1, "to": 30}, 31))
    assert first_kept(small, "keep.count", 20) == ({"type": "gap", "from": 21, "to": 30}, 31)
    assert first_kept(small, "keep.count", 30) == (None, 31)
    assert first_kept(small, "keep.count", 29) == ({"type": "gap", "from": 30, "to": 30}, 31)
    assert first_kept(small, "keep.count", 39) == (None, 40)


def test_so_many_bytes_are_kept(migd):
    d = migd({"mig.event_max_bytes": 100000})
    fill(d, "keep.bytes", 300, {"blob": "x" * 2000})

    def kept():
        _, first = first_kept(d, "keep.bytes")
        return 300 - first + 1

    eventually(lambda: kept() * 2000 <= 100000)
    assert kept() * 2600 >= 90000, "and not much less"


def test_a_limit_holds_after_a_reload(migd):
    d = migd()
    fill(d, "keep.reload", 30)
    assert first_kept(d, "keep.reload") == (None, 1)
    d.write_settings(**{"mig.event_max_per_topic": 5})
    assert d.http.reload().status == 200
    fill(d, "keep.reload", 1)
    eventually(lambda: first_kept(d, "keep.reload")[1] == 27)


def test_a_topic_that_is_trimmed_all_the_time_loses_no_live_event(small):
    with subscribe(small, "keep.live") as s:
        fill(small, "keep.live", 200)
        got = []
        while not got or got[-1] < 200:
            e = s.next()
            if e.name == "mig-event":
                got.append(e.json["sequence"])
    assert got == sorted(set(got)) and got[-1] == 200


# --- replay -----------------------------------------------------------------------------------------

def test_replay_is_throttled_and_live_delivery_is_not(migd):
    d = migd({"mig.replay_rate": 5})
    fill(d, "rate.topic", 10)
    with subscribe(d, "rate.topic", resume_cursor=0) as s:
        began = time.monotonic()
        assert sequences(messages(s, 10)) == list(range(1, 11))
        took = time.monotonic() - began
        assert 0.75 < took < 4, "five at once, five more at 5/s"
        began = time.monotonic()
        fill(d, "rate.topic", 50)
        messages(s, 50)
        assert time.monotonic() - began < 2.5 * SLOW


def test_large_events_are_replayed_as_fast_as_small_ones(migd):
    """Every one of them is read from the store alone."""
    d = migd({"mig.replay_rate": 5})
    fill(d, "rate.large", 12, {"blob": "x" * 600_000})
    with subscribe(d, "rate.large", resume_cursor=0) as s:
        began = time.monotonic()
        messages(s, 12)
        assert 1.1 < time.monotonic() - began < 2.2 + 0.3 * SLOW


def test_the_hours_quota_of_a_consumer(small):
    topic = "quota.topic"
    fill(small, topic, 10)
    for _ in range(2):
        with subscribe(small, topic, consumer_id="c", resume_cursor=0) as s:
            assert s.status == 200
            messages(s, 10)
    with subscribe(small, topic, consumer_id="c", resume_cursor=0) as s:
        assert s.status == 429 and not s.is_stream
        error = s.json["error"]
        assert error["code"] == "MIG_RATE_LIMITED" and error["retryable"] is True
        assert error["details"]["reason"] == "replay_quota"
        assert 3_500_000 < error["details"]["retry_after_ms"] <= 3_600_000
        assert 3500 <= int(s.headers["Retry-After"]) <= 3600
    with subscribe(small, topic, consumer_id="c", resume_cursor=5) as s:
        assert s.status == 200, "five more are within it"
        messages(s, 5)
    with subscribe(small, topic, consumer_id="c", resume_cursor="latest") as s:
        assert s.status == 200, "what is live does not count"
        fill(small, topic, 1)
        messages(s, 1)
    for other in ("d", None):
        with subscribe(small, topic, consumer_id=other, resume_cursor=0) as s:
            assert s.status == 200, "others have their own"


def test_a_refusal_does_not_disturb_who_reads(small):
    """Of a consumer that is already there: it keeps reading, and its position keeps moving."""
    topic = "quota.disturb"
    fill(small, topic, 10)
    with subscribe(small, topic, consumer_id="c", resume_cursor=0) as a:
        messages(a, 10)
        for _ in range(2):
            with subscribe(small, topic, consumer_id="c2", resume_cursor=0) as b:
                messages(b, 10)
        with subscribe(small, topic, consumer_id="c", resume_cursor="x") as b:
            assert b.status == 400
        with subscribe(small, topic, consumer_id="c2", resume_cursor=0) as b:
            assert b.status == 429
        fill(small, topic, 3)
        assert sequences(messages(a, 3)) == [11, 12, 13]
    eventually(lambda: small.http.instance("http")[0]["debt"] == 0)
    fill(small, topic, 1)
    with subscribe(small, topic, consumer_id="c") as a:
        assert messages(a, 1)[0]["sequence"] == 14


# --- time (see patient) -----------------------------------------------------------------------------

def test_all_that_is_too_old_goes_and_its_numbers_do_not_come_again(patient, migd):
    """Also more of it than one look finds, and over a restart."""
    d, gap = patient, ({"type": "gap", "from": 1, "to": 600}, None)
    eventually(lambda: first_kept(d, "age.topic") == gap, within=45, every=0.5)
    assert time.monotonic() - d.began < 45, "in one sweep"
    assert is_silent(d.quiet, max(0.2, d.began + 32 - time.monotonic()))
    assert set(d.quiet.comments) == {"keepalive"}, "who hears nothing is told that all is well"
    d.quiet.close()
    assert not d.faults()
    d = migd({"mig.data_dir": d.settings["mig.data_dir"]})
    assert first_kept(d, "age.topic") == gap
    assert publish(d, "age.topic").json["sequence"] == 601
    assert first_kept(d, "age.topic") == (gap[0], 601)
