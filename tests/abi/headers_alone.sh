#!/bin/sh
# abi/headers_alone.sh [BUILD]: each public header compiles alone and behind <cmocka.h>, as C11, C17 and
# C++17, with gcc and clang, without a warning and (but for the mock) without padding.
root=$(cd "$(dirname "$0")/../.." && pwd)
inc=$root/plugin-api/include
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
flags="-fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Werror -I$inc"
cmocka='#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>'
failed=0 count=0
cd "$inc" || exit 1
for h in $(find mig -name '*.h' | sort); do
    case $h in */mock*) padded= ;; *) padded=-Wpadded ;; esac
    # -Wpadded must not see the headers of others.
    printf '#include "%s"\n#include "%s"\n' "$h" "$h" >"$dir/alone.c"
    printf '%s\n#include "%s"\n' "$cmocka" "$h" >"$dir/cmocka.c"
    for cc in "gcc -xc -std=c11" "gcc -xc -std=c17" "g++ -xc++ -std=c++17" \
        "clang -xc -std=c11" "clang -xc -std=c17" "clang++ -xc++ -std=c++17"; do
        command -v ${cc%% *} >/dev/null || continue
        for f in alone cmocka; do
            case $f$cc in cmocka*++*) continue ;; esac # cmocka.h is C
            count=$((count + 1))
            $cc $flags $padded "$dir/$f.c" >"$dir/out" 2>&1 ||
                { echo "FAIL $h ($f, $cc)"; head -5 "$dir/out"; failed=$((failed + 1)); }
        done
    done
done
echo "headers: $count compilations, $failed failures"
[ "$failed" = 0 ] && [ "$count" -gt 0 ]
