"""Two tenants that do the same at the same time, under the same names: topics, consumers, message ids, keys,
streams. Neither sees, cancels, replays or counts anything of the other (mig-core.md 3)."""
import threading
import time
from collections import Counter

import pytest
from helpers.daemon import Daemon
from helpers.events import parallel
from helpers.http import eventually
from helpers.sse import Events
from helpers.ws import Socket
from test_identity import INFER, SECRET, bearer, token

SECONDS = 4
TENANTS = ("acme", "beta")


class Tenant:
    """What one of them does, and what it has to find again. Every job is a thread with a client of its own."""

    def __init__(self, d, name, end):
        self.d, self.name, self.end = d, name, end
        self.other = next(t for t in TENANTS if t != name)
        self.head = bearer(token(tenant_id=name, sub=f"user-of-{name}"))
        self.done, self.lock = Counter(), threading.Lock()
        self.jobs = [self.publish, self.subscribe, self.invoke, self.cancel, self.repeat, self.stream, self.watch]

    def count(self, *names):
        with self.lock:
            self.done.update(names)

    def rounds(self):
        n = 0
        while time.monotonic() < self.end:
            n += 1
            yield n

    def is_mine(self, header):
        assert header["tenant_id"] == self.name, header
        assert header["meta"]["idg.principal_subject"] == f"user-of-{self.name}", header

    def call(self, client, payload, **header):
        r = client.invoke(INFER, {"input": self.name, **payload}, tenant=None, headers=self.head, **header)
        if r.status == 200:
            self.is_mine(r.json["header"])
            assert r.payload["echo"]["input"] == self.name, r
            self.count("replayed" if r.json["header"]["meta"].get("mig.idempotent_replay") else "successes")
        return r

    # jobs
    def publish(self):
        client = self.d.client()

        def one(n, **more):
            r = client.mig("publish/same.topic", {"payload": {"of": self.name, "n": n, **more}}, tenant=None,
                           headers=self.head, idempotency_key=f"event-{n}")
            assert r.status == 200 and r.json["sequence"] == n, r
            self.count("published")

        for n in self.rounds():
            one(n)
        one(n + 1, is_last=True)

    def subscribe(self):
        path = "/mig/v0.1/subscribe/same.topic?consumer_id=same&resume_cursor=0"
        with Events(self.d.address, path, headers=self.head, timeout=60) as s:
            last, payload = 0, {}
            while not payload.get("is_last"):
                e = s.next()
                if e.name != "mig-event":
                    assert e.name in ("retry", "mig-backpressure") or e.json["type"] != "gap", e
                    continue
                last, payload = last + 1, e.json["payload"]
                assert (e.json["sequence"], payload["of"], payload["n"]) == (last, self.name, last)
                self.is_mine(e.json["header"])
                self.count("events")

    def invoke(self):
        client = self.d.client()
        for n in self.rounds():
            assert self.call(client, {"n": n}, message_id=f"m-{n}", session_id="same").status == 200

    def cancel(self):
        """Ids that run on both sides at once; each side cancels every other one, and those alone end."""
        client, control = self.d.client(), self.d.client()

        def stop(n):
            time.sleep(0.03)
            r = control.mig(f"cancel/c-{n}", {"reason": self.name}, tenant=None, headers=self.head)
            assert r.json["status"] in ("cancelled", "pending"), r
            self.count(r.json["status"])

        def ends_cancelled(n):
            r = self.call(client, {"delay_ms": 20000}, message_id=f"c-{n}")
            assert r.reason == "cancelled" and r.error["details"].get("cancel_reason") in (self.name, None), r

        for n in self.rounds():
            if (n % 2 == 0) == (self.name == "acme"):
                parallel([lambda: stop(n), lambda: ends_cancelled(n)])
            else:
                assert self.call(client, {"delay_ms": 60}, message_id=f"c-{n}").status == 200

    def repeat(self):
        client = self.d.client()
        for n in self.rounds():
            for is_replay in (None, True):
                r = self.call(client, {"n": n}, idempotency_key=f"key-{n}")
                assert r.status == 200 and r.json["header"]["meta"].get("mig.idempotent_replay") is is_replay, r

    def stream(self):
        with Socket(self.d.address, self.head) as s:
            for n in self.rounds():
                s.request(INFER, {"input": self.name, "stream_chunks": 2}, stream_id="same", tenant=None,
                          preference="server_stream", message_id=f"w-{n}")
                frames = [s.next() for _ in range(3)]
                assert [f["kind"] for f in frames] == ["response"] * 3 and frames[2]["end_stream"]
                self.count("successes")
                for f in frames:
                    self.is_mine(f["header"])
                    assert f["payload"]["echo"]["input"] == self.name
            s.request(INFER, {"input": self.name}, stream_id="x", tenant=self.other)
            assert s.last("x")["error"]["code"] == "MIG_FORBIDDEN"

    def watch(self):
        client = self.d.client()
        for _ in self.rounds():
            self.look(client)
            self.look(client, f"?tenant_id={self.name}")
            self.look_abroad(client)
            time.sleep(0.05)

    # what operators' routes tell it
    def get(self, client, path):
        r = client.get(path, **self.head)
        assert r.status == 200, r
        return r.json

    def look(self, client, query=""):
        before = self.done["usage"]
        usage = self.get(client, "/cloud/v0.1/usage" + query)
        assert set(usage["tenant_invocations"]) <= {self.name}, usage
        assert usage["total_invocations"] >= before
        self.done["usage"] = usage["total_invocations"]
        quotas = self.get(client, "/pro/v0.1/quotas" + query)["quotas"]
        assert [q["tenant_id"] for q in quotas] == [self.name], quotas
        told = self.get(client, "/admin/v0.1/connections" + query)
        assert set(told["summary"]["by_tenant"]) <= {self.name}, told
        assert all(c["tenant_id"] == self.name and c["actor"].endswith(self.name) for c in told["connections"])
        records = self.get(client, "/pro/v0.1/audit/export" + query)["records"]
        assert {r["tenant_id"] for r in records} <= {self.name}
        assert {r["actor"] for r in records} <= {f"user-of-{self.name}"}
        return usage, records

    def look_abroad(self, client):
        query = f"?tenant_id={self.other}"
        assert self.get(client, "/cloud/v0.1/usage" + query) == {
            "tenant_invocations": {}, "capability_invocations": {}, "total_invocations": 0}
        assert self.get(client, "/pro/v0.1/quotas" + query)["quotas"] == []
        assert self.get(client, "/pro/v0.1/audit/export" + query)["records"] == []
        assert self.get(client, "/admin/v0.1/connections" + query)["summary"]["total"] == 0
        r = client.get("/pro/v0.1/audit/export" + query + "&format=csv", **self.head)
        assert r.status == 200 and r.body.count(b"\n") == 1, "the names of the columns alone"


@pytest.fixture
def d(tmp_path):
    d = Daemon(tmp_path / "migd", {"loops": 3, "mig.data_dir": str(tmp_path / "data"), "mig": {
        "auth_mode": "jwt", "jwt_hs256_secret": SECRET, "event_max_per_topic": 1000000,
        "replay_rate": 100000}})
    d.start()
    yield d
    assert not d.faults()


def test_two_tenants_under_load(d):
    root = bearer(token(tenant_id="ops", scopes=["mig:admin"]))
    for name in TENANTS:
        r = d.http.post("/pro/v0.1/quotas", {"tenant_id": name, "max_invocations": 10**6}, root)
        assert r.status == 200
    tenants = [Tenant(d, name, time.monotonic() + SECONDS) for name in TENANTS]
    parallel([job for t in tenants for job in t.jobs])
    for t in tenants:
        done = t.done
        assert min(done["published"], done["cancelled"], done["replayed"]) > 5, done
        eventually(lambda: t.get(d.http, "/cloud/v0.1/usage")["total_invocations"] == done["successes"], what=done)
        _, records = t.look(d.http)
        outcomes = Counter(r["outcome"] for r in records if r.get("operation") == "invoke")
        assert outcomes == {"success": done["successes"], "replayed": done["replayed"],
                            "cancelled": done["cancelled"] + done["pending"]}
        assert done["events"] == done["published"]
    total = d.http.get("/cloud/v0.1/usage", **root).json
    assert total["tenant_invocations"] == {t.name: t.done["successes"] for t in tenants}
