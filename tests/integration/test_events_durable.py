"""What was acknowledged stays: consumers, restarts, kill -9, bad data folders (mig-core.md 7.3)."""
import http.client
import os
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter

import pytest
from helpers.daemon import BUILD, SLOW
from helpers.events import fill, is_silent, messages, parallel, publish, sequences, subscribe
from helpers.http import Client, eventually

SHARED = {"settings": {"loops": 4}}


def gone(d):
    """Every stream that was closed is forgotten, so what it was handed counts."""
    eventually(lambda: d.http.instance("http")[0]["debt"] == 0)


# --- consumers --------------------------------------------------------------------------------------

def test_a_consumer_goes_on_where_it_was(shared):
    topic = "consumer.resume"
    fill(shared, topic, 5)
    with subscribe(shared, topic, consumer_id="c") as s:
        assert sequences(messages(s, 5)) == [1, 2, 3, 4, 5]
    gone(shared)
    fill(shared, topic, 3)
    with subscribe(shared, topic, consumer_id="c") as s:
        assert sequences(messages(s, 3)) == [6, 7, 8]
        fill(shared, topic, 1)
        assert sequences(messages(s, 1)) == [9]
    with subscribe(shared, topic, consumer_id="other") as s:
        assert sequences(messages(s, 9)) == list(range(1, 10))
    with subscribe(shared, "consumer.elsewhere", consumer_id="c") as s:
        fill(shared, "consumer.elsewhere", 1)
        assert sequences(messages(s, 1)) == [1], "topics are apart"


def test_a_cursor_wins_over_the_position(shared):
    topic = "consumer.cursor"
    fill(shared, topic, 5)
    with subscribe(shared, topic, consumer_id="c") as s:
        messages(s, 5)
    with subscribe(shared, topic, consumer_id="c", resume_cursor=3) as s:
        assert sequences(messages(s, 2)) == [4, 5]
    with subscribe(shared, topic, consumer_id="c", headers={"Last-Event-ID": "2"}) as s:
        assert sequences(messages(s, 3)) == [3, 4, 5]
    with subscribe(shared, topic, consumer_id="c", resume_cursor="latest") as s:
        s.next()
        fill(shared, topic, 1)
        assert sequences(messages(s, 1)) == [6]
    gone(shared)
    fill(shared, topic, 1)
    with subscribe(shared, topic, consumer_id="c") as s:
        assert sequences(messages(s, 1)) == [7]


def superseded(stream):
    last = stream.next(10)
    while last.name in ("retry", "mig-event"):
        last = stream.next(10)
    assert last.name == "mig-control" and last.json["type"] == "closing"
    assert last.json["code"] == "MIG_UNAVAILABLE" and last.json["reason"] == "consumer_superseded"
    assert stream.next(10) is None, "then the stream ends, without a cut"
    stream.close()


def test_another_connection_takes_over(shared):
    topic = "consumer.takeover"
    with subscribe(shared, topic, consumer_id="c") as old, \
            subscribe(shared, topic, consumer_id="other") as other:
        old.next()
        fill(shared, topic, 3)
        messages(old, 3)
        with subscribe(shared, topic, consumer_id="c") as new:
            superseded(old)
            new.next()
            fill(shared, topic, 2)
            got = sequences(messages(new, 2))
            assert got in ([4, 5], [3, 4]), "the last one may come twice"
        assert sequences(messages(other, 5)) == [1, 2, 3, 4, 5], "nobody else is disturbed"


def test_a_takeover_of_a_takeover(shared):
    """From several connections, on several loops, while events come."""
    topic, chain = "consumer.chain", []
    writer = threading.Thread(target=fill, args=(shared, topic, 200))
    writer.start()
    for _ in range(20):
        chain.append(subscribe(shared, topic, consumer_id="c"))
    [superseded(s) for s in chain[:-1]]
    writer.join()
    while chain[-1].named("mig-event", 10).id != "200":
        pass
    chain[-1].close()
    gone(shared)


def test_many_takeovers_at_once_leave_one_reader(shared):
    topic, streams = "consumer.race", []
    parallel([lambda: streams.append(subscribe(shared, topic, consumer_id="c")) for _ in range(32)])
    fill(shared, topic, 1)
    ends = Counter()

    def look(s):
        while (e := s.next(10)) is not None and e.name == "retry":
            pass
        ends["reads" if e.name == "mig-event" else e.json["reason"]] += 1
        s.close()

    parallel([lambda s=s: look(s) for s in streams])
    assert ends["consumer_superseded"] + ends["reads"] == 32 and ends["reads"] >= 1
    gone(shared)


# --- restarts ---------------------------------------------------------------------------------------

@pytest.fixture
def durable(migd, tmp_path):
    """A factory of daemons on one data folder, one after the other."""
    def make(is_killed=False, **settings):
        return migd({"mig.data_dir": str(tmp_path / "data"), "loops": 3, **settings},
                    exit_code=-signal.SIGKILL if is_killed else 0)
    return make


def end(d):
    [c.close() for c in d.clients]  # a stop lingers for those that are idle
    d.signal(signal.SIGKILL if d.exit_code else signal.SIGTERM)
    assert d.wait(20) == d.exit_code


@pytest.mark.parametrize("is_killed", [False, True])
def test_events_and_positions_survive(durable, is_killed):
    d = durable(is_killed)
    sent = [publish(d, "restart.topic", {"n": n, "t": "\u00fc\n"}, envelope={"key": f"k{n}"},
                    message_id=f"m{n}").json for n in range(1, 21)]
    fill(d, "restart.other", 2, tenant="other")
    with subscribe(d, "restart.topic", consumer_id="c") as s:
        before = messages(s, 20)
        time.sleep(0.5)  # positions are stored soon after
    end(d)
    d = durable()
    assert fill(d, "restart.topic", 1) == [21]
    assert fill(d, "restart.other", 1, tenant="other") == [3]
    assert fill(d, "restart.other", 1) == [1], "tenants are apart"
    with subscribe(d, "restart.topic", resume_cursor=0) as s:
        after = messages(s, 20)
    assert after == [{**e, "replay": True} for e in before]
    assert [e["event_id"] for e in after] == [r["event_id"] for r in sent]
    with subscribe(d, "restart.topic", consumer_id="c") as s:
        assert messages(s, 1)[0]["sequence"] == 21


def test_the_replay_quota_survives(durable):
    how = {"mig.replay_quota": 15}
    d = durable(**how)
    fill(d, "restart.quota", 10)
    with subscribe(d, "restart.quota", consumer_id="c", resume_cursor=0) as s:
        messages(s, 10)
        time.sleep(0.3)
    end(d)
    d = durable(**how)
    with subscribe(d, "restart.quota", consumer_id="c", resume_cursor=0) as s:
        assert s.status == 429
        assert s.json["error"]["details"]["retry_after_ms"] < 3_600_000


def test_a_position_has_its_time(durable):
    """Without a reader: one that is connected and quiet keeps it."""
    d = durable(**{"mig.consumer_ttl_s": 2})
    fill(d, "restart.ttl", 3)
    with subscribe(d, "restart.ttl", consumer_id="c") as s:
        messages(s, 3)
        time.sleep(2.3)
    gone(d)
    end(d)
    d = durable(**{"mig.consumer_ttl_s": 2})
    with subscribe(d, "restart.ttl", consumer_id="c") as s:
        fill(d, "restart.ttl", 1)
        assert messages(s, 1)[0]["sequence"] == 4
    gone(d)
    time.sleep(2.3)
    with subscribe(d, "restart.ttl", consumer_id="c") as s:
        assert messages(s, 1)[0]["sequence"] == 1


def test_a_tenant_has_so_many_topics(durable):
    """Those it has go on, others have their own, and a restart counts them again."""
    def refused(r):
        assert r.status == 429
        assert r.json["header"]["tenant_id"] == "acme"
        error = r.json["error"]
        assert error["code"] == "MIG_BACKPRESSURE" and error["retryable"] is True
        assert error["details"]["reason"] == "tenant_topics"

    how = {"mig.event_max_topics_per_tenant": 2}
    d = durable(**how)
    fill(d, "cap.a", 1)
    fill(d, "cap.b", 1)
    refused(publish(d, "cap.c"))
    with subscribe(d, "cap.c") as s:
        refused(s)
    assert fill(d, "cap.a", 1) == [2]
    assert fill(d, "cap.c", 1, tenant="other") == [1]
    end(d)
    d = durable(**how)
    refused(publish(d, "cap.c"))
    assert fill(d, "cap.a", 1) == [3]
    d.write_settings(**{"mig.event_max_topics_per_tenant": 3})
    assert d.http.reload().status == 200
    assert fill(d, "cap.c", 1) == [1]
    refused(publish(d, "cap.d"))


def test_memory_forgets_but_works(migd):
    for _ in range(2):
        d = migd()
        assert fill(d, "memory.topic", 3) == [1, 2, 3]
        with subscribe(d, "memory.topic", consumer_id="c") as s:
            assert sequences(messages(s, 3)) == [1, 2, 3]
        end(d)


def test_memory_mode_leaves_no_file(migd):
    d = migd()
    fill(d, "memory.file", 3)
    end(d)
    assert not [f for f in d.dir.rglob("*") if "db" in f.suffix]


# --- kill -9 ----------------------------------------------------------------------------------------

class Storm:
    """Publishers and a consumer that find the daemon again whenever it dies."""

    def __init__(self, topic, publishers):
        self.topic, self.daemon, self.is_over = topic, None, False
        self.acked, self.doubtful = [[] for _ in range(publishers)], Counter()
        self.consumed, self.threads = [], []

    def write(self, i):
        n = 0
        while not self.is_over:
            client = Client(self.daemon.address, timeout=10)
            try:
                while not self.is_over:
                    r = publish(self.daemon, self.topic, {"from": i, "n": n}, client=client)
                    assert r.status == 200, r
                    self.acked[i].append((r.json["sequence"], r.json["event_id"], n))
                    n += 1
            except (OSError, http.client.HTTPException):
                pass
            self.doubtful[i] += 1
            n += 1  # whether that one is in the log is not known
            client.close()
            time.sleep(0.02)

    def read(self):
        while not self.is_over:
            try:
                with subscribe(self.daemon, self.topic, consumer_id="c", timeout=2) as s:
                    while (e := s.next()) is not None:
                        if e.name == "mig-event":
                            self.consumed.append(e.json["sequence"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)

    def start(self):
        jobs = [lambda i=i: self.write(i) for i in range(len(self.acked))] + [self.read]
        self.crew = threading.Thread(target=self._crew, args=(jobs,))
        self.error = None
        self.crew.start()

    def _crew(self, jobs):
        try:
            parallel(jobs)
        except BaseException as e:  # noqa: BLE001 - raised in stop()
            self.error = e

    def stop(self):
        self.is_over = True
        self.crew.join()
        if self.error:
            raise self.error

    def run(self, durable):
        """Kills the daemon five times at any moment; the last one lives, with the log up to its head."""
        how = {"mig.replay_rate": 100000, "mig.event_max_per_topic": 1000000}
        seed = int(os.environ.get("MIGD_SEED", time.time_ns() % 1000000))
        print("MIGD_SEED", seed)
        dice, self.daemon = random.Random(seed), durable(True, **how)
        self.start()
        for round_ in range(5):
            time.sleep(dice.uniform(0.1, 0.7))
            end(self.daemon)
            self.daemon = durable(round_ < 4, **how)
        time.sleep(0.3)
        self.stop()
        head = fill(self.daemon, self.topic, 1)[0]
        with subscribe(self.daemon, self.topic, resume_cursor=0, timeout=60) as s:
            return messages(s, head, timeout=60, may_lag=True)


def test_kill_9_in_a_storm_of_publishers(durable):
    """What was acknowledged is there, under its number, once."""
    storm = Storm("storm.topic", 8)
    log = storm.run(durable)
    head = len(log)
    assert sequences(log) == list(range(1, head + 1)), "neither gap nor number given twice"
    there = {e["sequence"]: (e["event_id"], e["payload"]) for e in log}
    for i, acked in enumerate(storm.acked):
        assert len(acked) > 5 and [a[0] for a in acked] == sorted({a[0] for a in acked})
        for sequence, event_id, n in acked:
            assert there[sequence] == (event_id, {"from": i, "n": n})
    extra = head - 1 - sum(map(len, storm.acked))
    assert 0 <= extra <= sum(storm.doubtful.values()), "and nothing that nobody published"
    with subscribe(storm.daemon, "storm.topic", consumer_id="c", timeout=60) as s:
        while not storm.consumed or storm.consumed[-1] < head:
            storm.consumed.append(messages(s, 1, timeout=60, may_lag=True)[0]["sequence"])
    assert set(storm.consumed) == set(range(1, head + 1)), "the consumer has missed none"


class Insistent(Storm):
    """Its publishers repeat what they do not know the answer to, under the same key."""

    def write(self, i):
        n = 0
        while not self.is_over:
            client = Client(self.daemon.address, timeout=10)
            try:
                while not self.is_over:
                    r = publish(self.daemon, self.topic, {"from": i, "n": n}, client=client,
                                idempotency_key=f"{i}-{n}")
                    assert r.status == 200, r
                    self.acked[i].append((r.json["sequence"], r.json["event_id"], n))
                    n += 1
            except (OSError, http.client.HTTPException):
                self.doubtful[i] += 1
            client.close()
            time.sleep(0.02)

    def read(self):
        pass


def test_kill_9_and_a_key_publish_once(durable):
    """The key and the event are in the store together: a repetition never makes a second event."""
    storm = Insistent("once.topic", 8)
    log = storm.run(durable)[:-1]
    sent = Counter((e["payload"]["from"], e["payload"]["n"]) for e in log)
    assert set(sent.values()) == {1}, [k for k, times in sent.items() if times > 1]
    there = {e["sequence"]: e["event_id"] for e in log}
    for i, acked in enumerate(storm.acked):
        assert [n for _, _, n in acked] == list(range(len(acked))), "each one, in order"
        assert all(there[sequence] == event_id for sequence, event_id, _ in acked)
    assert sum(storm.doubtful.values()) > 0


# --- folders that cannot be used --------------------------------------------------------------------

def refused(d):
    """What the daemon says when it does not start; with ASan it also says what it leaves behind."""
    r = subprocess.run([str(BUILD / "migd"), "--config", str(d.config)], capture_output=True, text=True,
                       env=d.env, cwd=d.dir, timeout=30 * SLOW)
    assert r.returncode == 1, r
    lines = [l for l in (r.stdout + r.stderr).splitlines() if not l.startswith("{")]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_data_folder_that_is_a_file(migd, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        d = migd({"mig.data_dir": str(path)}, start=False)
        assert str(path) in refused(d)


def test_a_data_folder_that_cannot_be_written(migd):
    d = migd({"mig.data_dir": "/proc/self/migd-data"}, start=False)
    assert "/proc/self/migd-data" in refused(d)


@pytest.mark.parametrize("how", ["nonsense", "head", "not_ours"])
def test_a_database_that_is_damaged(durable, tmp_path, how):
    d = durable()
    fill(d, "corrupt.topic", 50, {"blob": "x" * 2000})
    end(d)
    file = tmp_path / "data" / "migd.db"
    if how == "nonsense":
        file.write_bytes(os.urandom(100000))
    elif how == "head":
        data = bytearray(file.read_bytes())
        data[:100] = bytes(100)
        file.write_bytes(data)
    else:
        file.unlink()
        with sqlite3.connect(file) as db:
            db.execute("create table other(a)")
    for rest in ("migd.db-wal", "migd.db-shm"):
        (tmp_path / "data" / rest).unlink(missing_ok=True)
    assert str(tmp_path / "data") in refused(d)


def kill_among_publications(d, topic):
    """What was acknowledged until then; the log of changes is not empty."""
    acked = []

    def write():
        try:
            while True:
                acked.append(publish(d, topic, {"n": len(acked)}).json["sequence"])
        except (OSError, http.client.HTTPException):
            pass

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(acked) > 50)
    d.signal(signal.SIGKILL)
    assert d.wait(20) == d.exit_code
    writer.join()
    return acked


@pytest.mark.parametrize("how", ["cut", "bit", "gone"])
def test_a_log_of_changes_that_is_damaged(durable, tmp_path, how):
    """SQLite would go on with what is left, and give numbers a second time."""
    d = durable(True)
    acked = kill_among_publications(d, "cut.topic")
    wal = tmp_path / "data" / "migd.db-wal"
    whole = wal.read_bytes()
    bit = bytearray(whole)
    bit[len(bit) // 2] ^= 1
    wal.write_bytes({"cut": whole[:len(whole) // 2], "bit": bit, "gone": b""}[how])
    for _ in range(2):
        said = refused(d)
        assert str(wal) in said and "migd.db-shm" in said
    wal.write_bytes(whole)
    d = durable()
    assert acked == list(range(1, len(acked) + 1))
    with subscribe(d, "cut.topic", resume_cursor=0) as s:
        assert [e["payload"]["n"] for e in messages(s, len(acked), may_lag=True)] == list(range(len(acked)))


def told(d, topic, last):
    """The sequences that were said to be damaged: the others came, up to the last one or the end of the stream,
    which says why it ends."""
    came, damaged = [], []
    with subscribe(d, topic, resume_cursor=0) as s:
        while len(came) + len(damaged) < last:
            e = s.next()
            if e.name == "mig-event":
                assert e.json["payload"]["text"] == f"event {e.json['sequence']}"
                came.append(e.json["sequence"])
            elif e.name == "mig-control" and e.json["type"] == "closing":
                assert e.json["reason"] == "event_store", e
                last = len(came) + len(damaged)
            elif e.name == "mig-control":
                assert (e.json["type"], e.json["reason"]) == ("gap", "damaged"), e
                damaged += range(e.json["from"], e.json["to"] + 1)
    assert sorted(came + damaged) == list(range(1, last + 1))
    return damaged


def test_an_event_that_is_damaged_is_named(durable, tmp_path):
    d = durable()
    for n in range(1, 6):
        assert publish(d, "bad.topic", {"text": f"event {n}"}).status == 200
    end(d)
    file = tmp_path / "data" / "migd.db"
    data = file.read_bytes()
    assert data.count(b"event 3") == 1
    file.write_bytes(data.replace(b"event 3", b"Event 3"))
    d = durable()
    assert told(d, "bad.topic", 5) == [3]
    assert d.wait_log(lambda l: l.get("event") == "event.damaged")["sequence"] == 3
    assert publish(d, "bad.topic").json["sequence"] == 6


def test_flipped_bits_lose_nothing_silently(durable, migd, tmp_path):
    seed = int(os.environ.get("MIGD_SEED", time.time_ns() % 1000000))
    print("MIGD_SEED", seed)
    dice, d = random.Random(seed), durable()
    for n in range(1, 101):
        assert publish(d, "flip.topic", {"text": f"event {n}"}).status == 200
    end(d)
    file = tmp_path / "data" / "migd.db"
    good = file.read_bytes()
    for _ in range(10):
        data = bytearray(good)
        for _ in range(8):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        file.write_bytes(data)
        d = migd({"mig.data_dir": str(tmp_path / "data")}, start=False)
        try:
            d.start()
        except AssertionError:
            assert d.wait(20) == 1 and str(tmp_path / "data") in d.tail()
            d.exit_code = 1
            continue
        told(d, "flip.topic", 100)
        end(d)


@pytest.mark.parametrize("space", [2, 4], ids=["idempotency", "capability"])
def test_a_row_that_is_damaged(durable, tmp_path, space):
    """Of what is read when everything else is there already."""
    d = durable()
    d.http.mig("publish/row.topic", {"payload": {}}, idempotency_key="k")
    end(d)
    with sqlite3.connect(tmp_path / "data" / "migd.db") as db:
        assert db.execute("update value set bytes = x'00' where space = ?", (space,)).rowcount > 0
    db.close()
    assert str(tmp_path / "data") in refused(d)


def test_other_starts_that_are_refused(migd):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        assert address in refused(migd({"mig.addr": address}, start=False))
    assert "/nowhere" in refused(migd({"mig.audit_log_path": "/nowhere/at/all"}, start=False))
    assert "/nowhere" in refused(migd({"mig.auth_mode": "jwt", "mig.jwt_key_files": ["/nowhere.pem"]},
                                      start=False))
    assert "/nowhere" in refused(migd({"http.access_log": "/nowhere/at/all"}, start=False))


def test_a_second_daemon_on_the_same_folder_is_refused(durable, migd, tmp_path):
    d = durable()
    fill(d, "second.topic", 1)
    other = migd({"mig.data_dir": str(tmp_path / "data")}, start=False)
    assert str(tmp_path / "data") in refused(other)
    assert fill(d, "second.topic", 1) == [2], "the first one goes on"
    end(d)
    other.start()
    assert fill(other, "second.topic", 1) == [3]
    with subscribe(other, "second.topic", resume_cursor=3) as s:
        assert is_silent(s)
