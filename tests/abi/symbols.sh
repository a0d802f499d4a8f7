#!/bin/sh
# abi/symbols.sh BUILD: modules export mig_plugin_entry and nothing else and need no mig_* of anybody;
# the daemon exports nothing of ours.
build=${1:?build folder}
failed=0 count=0
say() { echo "FAIL $*"; failed=$((failed + 1)); }
# Sanitizers and the loader bring symbols of their own.
theirs='^(__asan|__ubsan|__tsan|__odr_asan|__sancov|__sanitizer|_init$|_fini$|__bss_start$|_edata$|_end$|__start_|__stop_|_ITM_|__gmon)'
for so in "$build"/plugins/*.so; do
    [ -e "$so" ] || continue
    count=$((count + 1))
    exported=$(nm -D --defined-only "$so" | awk '{print $NF}' | grep -vE "$theirs" | tr '\n' ' ')
    [ "$exported" = "mig_plugin_entry " ] || say "$so exports: $exported"
    needed=$(nm -D --undefined-only "$so" | awk '{print $NF}' | grep '^mig_' | tr '\n' ' ')
    [ -z "$needed" ] || say "$so needs: $needed"
done
[ "$count" -gt 0 ] || say "no modules in $build/plugins"
if [ -e "$build/migd" ]; then
    ours=$(nm --defined-only "$build/migd" 2>/dev/null | awk '$2 ~ /[TDBR]/ {print $3}' | sort -u)
    dynamic=$(nm -D --defined-only "$build/migd" | awk '{print $NF}' | sed 's/@.*//' | grep -vE "$theirs" | sort -u)
    case $build in
    *) leaked=$(echo "$dynamic" | grep -E '^(mig_|call_|gen_|loop_|pool_|instance_|op_|stage_|exchange_|arena_|json_|plan_|life_|kv_|module_)' | tr '\n' ' ') ;;
    esac
    [ -z "$leaked" ] || say "migd exports: $leaked"
    [ -n "$ours" ] || echo "note: migd is stripped"
fi
echo "symbols: $count modules, $failed failures"
[ "$failed" = 0 ]
