#!/usr/bin/env python3
"""abi/layout.py ANCHOR.xml > layout_1_0.c: size and offset of every member of every public struct, from
abidw's description of the anchor. Run once per release; the result is frozen."""
import sys
import xml.etree.ElementTree as ET

print("""/* Sizes and offsets of ABI 1.0 as released (1.0-rc1), written by layout.py. Later minors may append
 * members, so sizes may grow: structs that carry their size are checked by >=, those that never grow
 * by ==. Offsets never change. */
#include "mig/plugin.h"
#include "mig/ext/binding.h"
#include "mig/ext/control.h"
#include "mig/ext/http.h"
#include "mig/ext/invoke.h"
#include "mig/ext/kv.h"
#include "mig/ext/loop.h"
#include "mig/ext/observe.h"
#include "mig/ext/sources.h"
#include "mig/ext/stream.h"
#include "mig/ext/task.h"
#include "mig/ext/timer.h"

#include <assert.h>

#define SIZE(s, op, n) static_assert(sizeof(struct s) op (n), #s)
#define AT(s, member, n) static_assert(offsetof(struct s, member) == (n), #s "." #member)
""")
seen = {}
for c in ET.parse(sys.argv[1]).iter("class-decl"):
    name = c.get("name", "")
    if not name.startswith("mig_") or c.get("is-declaration-only") == "yes":
        continue
    members = [(m.find("var-decl").get("name"), int(m.get("layout-offset-in-bits")) // 8)
               for m in c.findall("data-member")]
    seen[name] = (int(c.get("size-in-bits")) // 8, members)
for name in sorted(seen):
    size, members = seen[name]
    grows = any(m == "struct_size" for m, _ in members)
    print(f"SIZE({name}, {'>=' if grows else '=='}, {size});")
    for m, at in members:
        print(f"AT({name}, {m}, {at});")
    print()
