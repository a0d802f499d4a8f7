#!/bin/sh
# Builds the engine with sanitizers and runs its tests: lua/tests/run.sh [name ...]
set -e
cd "$(dirname "$0")/../.."
out=${OUT:-/tmp/migd-lua-tests}
mkdir -p "$out"
flags="-std=gnu17 -D_GNU_SOURCE -DMIG_STATIC_PLUGIN -O1 -g -Wall -Wextra -Wshadow -Wconversion -Werror
       ${SAN--fsanitize=address,undefined} -Iplugin-api/include $(pkg-config --cflags lua5.4 yyjson cmocka)"
for f in lua/engine/*.c; do
    o=$out/$(basename "$f" .c).o
    if [ ! -e "$o" ] || [ "$f" -nt "$o" ] || [ lua/engine/engine.h -nt "$o" ]; then
        gcc $flags -c "$f" -o "$o"
    fi
done
for t in ${@:-lua/tests/test_lua_*.c}; do
    n=$(basename "$t" .c)
    gcc $flags -Wno-unused-function "lua/tests/$n.c" "$out"/*.o -o "$out/$n.bin" \
        $(pkg-config --libs lua5.4 yyjson cmocka) -lpthread -lm
    "$out/$n.bin"
done
