#!/bin/sh
# contract/check.sh BUILD: `migctl check` must be content with every module of the build folder.
build=${1:?build folder}
failed=0 count=0
for so in "$build"/plugins/*.so; do
    [ -e "$so" ] || continue
    count=$((count + 1))
    case ${so##*/} in
    # It may not run without mig.control/1, which the mock host of migctl does not grant.
    admin.so) "$build/migctl" check --no-run "$so" >"$build/check.out" 2>&1 ||
        { echo "FAIL migctl check --no-run $so"; cat "$build/check.out"; failed=$((failed + 1)); } ;;
    *) "$build/migctl" check "$so" >"$build/check.out" 2>&1 ||
        { echo "FAIL migctl check $so"; cat "$build/check.out"; failed=$((failed + 1)); } ;;
    esac
done
echo "migctl check: $((count - failed)) passed, $failed failed"
[ "$failed" = 0 ] && [ "$count" -gt 0 ]
