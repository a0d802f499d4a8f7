"""P14: a gateway with everything on that governs calls, against one with nothing (goals.md W14): 200
capabilities and 50 policies, metrics, an audit file, schemas of payloads, rate limits and quotas."""
import contextlib
import json
import os
import tempfile

import servers
import wrk
from report import goal, interleave, ratio, say, spread, times
from servers import TENANT

CAPABILITIES, POLICIES, CONNECTIONS = 200, 50, 32
PATH = "/mig/v0.1/invoke/bench.many.n0"
SCHEMA = {"type": "object", "required": ["input"], "additionalProperties": False,
          "properties": {"input": {"type": "string", "maxLength": 1000}}}
BARE = ("mig.enable_metrics=false", "mig.audit_max=0", "mig.validate_payloads=off")
LIMITS = ("mig.enable_metrics=true", "mig.validate_payloads=input",
          "mig.rate_limit_tenant_rps=1000000", "mig.rate_limit_client_rps=1000000")


def _manifest(has_policies):
    capabilities = [{"descriptor": {
        "id": f"bench.many.n{i}", "version": "1.0.0", "modes": ["unary"],
        "input_schema_uri": f"schema://bench/many/{i}", "output_schema_uri": "schema://bench/out",
        **({"input_schema": SCHEMA} if has_policies else {})}} for i in range(CAPABILITIES)]
    tree = {"version": 0.2, "plugin_dirs": ["plugins"], "providers": {
        "many": {"plugin": "dev.migd.echo", "config": {"capabilities": capabilities}}}}
    if has_policies:
        tree["policies"] = {f"bench.many.n{i}": {
            "rate_limit": {"rps": 1000000, "burst": 1000000}, "max_concurrency": 1000,
            "billing_tier": "pro"} for i in range(POLICIES)}
    return json.dumps(tree)


def _start(stack, build, has_policies):
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    settings = BARE
    if has_policies:
        settings = LIMITS + (f"mig.audit_log_path={os.path.join(folder, 'audit')}",)
    server = servers.start_migd(build, folder, settings=settings, manifest=_manifest(has_policies))
    stack.callback(server.stop)
    if has_policies:
        c = servers.Connection(server.port)
        quota = {"tenant_id": TENANT, "max_invocations": 10**9, "window_seconds": 86400}
        status, answer = c.post("/pro/v0.1/quotas", json.dumps(quota))
        refused, _ = c.post(PATH, '{"payload":{"output":"not in the schema"}}')
        c.close()
        if status != 200 or refused != 400:
            raise SystemExit(f"bench: quota {status} {answer}, bad payload {refused}")
    return server


def measure(build, opts):
    out, seconds = [], min(opts.seconds, 3)
    say(f"policy: {CAPABILITIES} capabilities, {POLICIES} policies, {opts.pairs} rounds")
    with contextlib.ExitStack() as stack:
        up = {name: _start(stack, build, name == "all on") for name in ("bare", "all on")}
        for server in up.values():
            wrk.run(server, PATH, CONNECTIONS, 1, tries=1)
        results = interleave({name: lambda s=server: wrk.run(s, PATH, CONNECTIONS, seconds)
                              for name, server in up.items()}, opts.pairs)
    r = ratio(results["all on"], results["bare"], "rps")
    goal(out, "P14", f"metrics, audit file, schema, rate limits, quota, to none of them: {times(r)}",
         "at least 0.80", r["median"] >= 0.8, **r)
    cpu = {name: spread(rows, "cpu_us")["median"] for name, rows in results.items()}
    goal(out, "P14 CPU", f"{cpu['bare']:.1f} us of CPU per call, {cpu['all on']:.1f} with all on", "",
         None, **cpu)
    return {"goals": out, "rounds": results}
