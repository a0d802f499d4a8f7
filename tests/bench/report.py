"""What bench.py prints and keeps: lines, goals with their verdict, ratios of interleaved pairs."""
import statistics

_all = []  # every goal of this run, for the table at its end


def say(text=""):
    print(text, flush=True)


def verdict(is_kept):
    return "" if is_kept is None else "PASS" if is_kept else "MISSED"


def goal(out, name, text, wish, is_kept, **figures):
    """One figure beside what was promised. is_kept None: there is no promise."""
    row = {"goal": name, "what": text, "wish": wish, "kept": is_kept, **figures}
    _line(row)
    out.append(row)
    _all.append(row)


def _line(row):
    say(f"{row['goal']:8} {row['what']:88} {row['wish']:17} {verdict(row['kept'])}")


def within(value, at_least=None, at_most=None):
    return value >= at_least if at_least is not None else value <= at_most


def interleave(systems, rounds):
    """systems: name to function. Each round runs all of them, every other round backwards; the results
    by name, one of each round."""
    results = {name: [] for name in systems}
    for i in range(rounds):
        names = list(systems)
        for name in names if i % 2 == 0 else names[::-1]:
            results[name].append(systems[name]())
    return results


def spread(rows, of):
    """Median, smallest and largest of a figure of each round."""
    values = [of(r) if callable(of) else r[of] for r in rows]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(these, those, of):
    """Of the pairs of each round."""
    return spread([a[of] / b[of] for a, b in zip(these, those)], lambda r: r)


def times(s, digits=2):
    return f"{s['median']:.{digits}f} ({s['min']:.{digits}f} to {s['max']:.{digits}f})"


def thousands(s):
    return f"{s['median'] / 1e3:.1f} k ({s['min'] / 1e3:.1f} to {s['max'] / 1e3:.1f})"


def summary():
    """All goals of the run once more, in one table; the counts."""
    say("\n--- goals of this run ---")
    for row in _all:
        if row["kept"] is not None:
            _line(row)
    kept = [r["kept"] for r in _all if r["kept"] is not None]
    say(f"{sum(kept)} PASS, {len(kept) - sum(kept)} MISSED")
    return _all
