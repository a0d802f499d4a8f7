#!/bin/sh
# abi/report.sh BUILD: compares the ABI of this tree with the baseline of the last release. abidiff's exit
# code cannot tell a legal append from an illegal insert, so its text decides (plugin-abi.md 20.2).
# A member that was only renamed breaks sources, not modules: layout_1_0.c finds it.
# New baseline: abi/report.sh BUILD --write NAME
build=${1:?build folder}
root=$(cd "$(dirname "$0")/../.." && pwd)
anchor=$build/tests/abi/anchor.so
command -v abidw >/dev/null && command -v abidiff >/dev/null || { echo "abidw is missing: skipped"; exit 0; }
dump() { abidw --no-corpus-path --no-comp-dir-path --no-show-locs --headers-dir "$root/plugin-api/include" "$anchor"; }
if [ "$2" = --write ]; then
    dump >"$root/plugin-api/abi/${3:?name}.xml"
    exit
fi
base=$(ls "$root"/plugin-api/abi/*.xml | sort -V | tail -n 1)
now=$build/tests/abi/now.xml
report=$build/tests/abi/report.txt
dump >"$now" || exit 1
abidiff --leaf-changes-only --no-show-locs "$base" "$now" >"$report" 2>&1
code=$?
# Bits 1 and 2: abidiff itself failed; the report says nothing then.
[ $((code & 3)) = 0 ] || { cat "$report"; echo "FAIL abidiff ended with $code"; exit 1; }
bad='data member (change|deletion)|^ *[1-9][0-9]* deletion|enumerator (change|deletion)|from value|offset changed|[1-9][0-9]* Removed'
if grep -qE "data member insertion" "$report"; then
    # An insertion is legal at the old end only: then no member that was there has moved.
    echo "note: members were appended:"
    grep -E "data member insertion" -A 3 "$report"
fi
if grep -qE "$bad" "$report"; then
    cat "$report"
    echo "FAIL the ABI of $(basename "$base" .xml) has changed"
    exit 1
fi
echo "ABI: no illegal change since $(basename "$base" .xml)"
