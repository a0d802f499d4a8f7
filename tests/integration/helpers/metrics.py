"""Prometheus text, read."""
import re

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


class Metrics:
    """{(name, frozenset of labels): value}; .get(name, **labels) sums what has these labels."""

    def __init__(self, text):
        self.text = text
        self.samples = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.match(line).groups()
            found = LABEL.findall(labels or "")
            assert ",".join(f'{k}="{v}"' for k, v in found) == (labels or ""), line
            key = (name, frozenset(found))
            assert key not in self.samples, f"twice: {line}"
            self.samples[key] = float(value)

    def get(self, name, **labels):
        return sum(v for (n, l), v in self.samples.items()
                   if n == name and set(labels.items()) <= l)

    def rows(self, name):
        return [dict(l) for (n, l) in self.samples if n == name]


def metrics(client):
    r = client.get("/metrics")
    assert r.status == 200
    return Metrics(r.body.decode())
