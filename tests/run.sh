#!/usr/bin/env bash
# Every check there is, in order, each timed. All of them run though one fails: one run shows all
# faults. `make test` installs what they need and calls this.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
summary=() broken=0

step() {
    local name=$1 began=$SECONDS verdict=ok
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee -a "$output" || verdict=FAILED broken=$((broken + 1))
    summary+=("$(printf '%-10s %-7s %4d s' "$name" "$verdict" $((SECONDS - began)))")
}

step format $cargo fmt --check
step lints $cargo clippy --locked --all-targets -- -D warnings
step hardening systemd-analyze --no-pager security --offline=true --threshold=20 systemd/baton.service
step tests $cargo test --locked --no-fail-fast
if compgen -G 'tests/browser/*.test.mjs' >/dev/null; then
    installed=tests/browser/node_modules/.package-lock.json
    [ "$installed" -nt tests/browser/package-lock.json ] ||
        step npm npm ci --prefix tests/browser --no-audit --no-fund --silent
    step browser node --test tests/browser/*.test.mjs
fi
step demo timeout 600 make --no-print-directory demo ONCE=1

# `test result: ok. 12 passed; 0 failed; …` of cargo, `# pass 3` and `ℹ fail 0` of node.
count() {
    sed -nE "s/^test result: .* ([0-9]+) $1ed;.*/\1/p; s/^(#|ℹ) $1 ([0-9]+)$/\2/p" "$output" |
        awk '{ sum += $1 } END { print sum + 0 }'
}
passed=$(count pass) failed=$(count fail)

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
printf '%d passed, %d failed\n' "$passed" "$((failed > broken ? failed : broken))"
[ "$broken" -eq 0 ] && [ "$passed" -gt 0 ]
