# shellcheck shell=bash
# What the scripts below .ci/ share. Source it from a script that has set -euo pipefail and is in the root folder.

if [[ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ]]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

# One target folder for all steps, without what only a second build or a debugger would use.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
export CARGO_INCREMENTAL=0
export CARGO_PROFILE_DEV_DEBUG=0
export CARGO_TERM_COLOR=never
export RUST_BACKTRACE=1
# The messages of tools are read, so they must be in English.
export LC_ALL=C.UTF-8

# Tools and records that outlive a step.
ci_cache=$CARGO_TARGET_DIR/ci
# What one run shares. A step that runs alone has a folder of its own.
if [[ -z ${CI_RUN:-} ]]; then
    CI_RUN=$(mktemp -d)
    trap 'rm -rf "$CI_RUN"' EXIT
fi
export CI_RUN

note() {
    printf '   %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

clock() {
    printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# limited MINUTES COMMAND..: a command that hangs fails by itself, with time left to say so.
limited() {
    local minutes=$1
    shift
    printf '+ %s\n' "$*"
    timeout --kill-after=30s "${minutes}m" "$@"
}

# tests MINUTES COMMAND..: runs a test command. One that ran nothing has failed.
tests() {
    local log=$CI_RUN/tests.log counts
    limited "$@" 2>&1 | tee "$log"
    counts=$(awk '
        /^ +Running / { section = $2 " " $3 }
        /^ +Doc-tests / { section = "doc" }
        /^test result: ok\. [0-9]+ passed/ { all += $4; if (section ~ /tests\/it\//) it += $4 }
        END { print all + 0, it + 0 }' "$log")
    note "tests passed: ${counts% *}, of them in tests/it: ${counts#* }"
    [[ ${counts% *} -gt 0 && ${counts#* } -gt 0 ]] || fail "no test ran: ${*:2}"
    echo "${counts% *}" >>"$CI_RUN/passed"
}

# tool NAME VERSION: a program from crates.io, built once for each target folder.
tool() {
    local root=$ci_cache/$1-$2
    if [[ ! -x $root/bin/$1 ]]; then
        # Unoptimized: it is built longer than it runs.
        CARGO_TARGET_DIR=$ci_cache/build limited 15 cargo install --quiet --locked --debug --root "$root" --version "$2" "$1"
    fi
    PATH="$root/bin:$PATH"
}

postgres_answers() {
    PGCONNECT_TIMEOUT=3 psql "$1" --no-password --no-psqlrc --tuples-only --quiet --command 'select 1' >"$CI_RUN/psql.log" 2>&1
}

# The parts of a database URL as arguments for the client. The password goes by the environment.
mysql_answers() {
    local client parts
    client=$(command -v mariadb || command -v mysql)
    mapfile -t parts < <(python3 - "$1" <<'PYTHON'
import sys
from urllib.parse import unquote, urlsplit
url = urlsplit(sys.argv[1])
print(url.hostname or "127.0.0.1", url.port or 3306, unquote(url.username or "root"),
      unquote(url.password or ""), url.path.lstrip("/"), sep="\n")
PYTHON
    )
    MYSQL_PWD=${parts[3]} "$client" --protocol=tcp --connect-timeout=3 --host="${parts[0]}" --port="${parts[1]}" \
        --user="${parts[2]}" --batch --skip-column-names \
        --execute="CREATE DATABASE IF NOT EXISTS \`${parts[4]}\`; SELECT VERSION()" >"$CI_RUN/mysql.log" 2>&1
}

# first_answer CHECK URL..: prints the first URL that answers, and waits half a minute for one.
first_answer() {
    local check=$1 tries url
    shift
    for ((tries = 1; tries <= 20; tries++)); do
        for url in "$@"; do
            if "$check" "$url"; then
                printf '%s\n' "$url"
                return
            fi
        done
        sleep 1.5
    done
    return 1
}

# Finds the servers and exports where they are. Both must answer: a run without them would pass without having looked.
find_databases() {
    local postgres=(postgres://postgres@127.0.0.1:5432/postgres postgres://root@127.0.0.1:5432/postgres)
    if [[ -n ${SECURITY_TEST_POSTGRES:-} ]]; then
        postgres=("$SECURITY_TEST_POSTGRES")
    fi
    SECURITY_TEST_POSTGRES=$(first_answer postgres_answers "${postgres[@]}") ||
        fail "PostgreSQL does not answer: $(tail -n 1 "$CI_RUN/psql.log")"
    note "PostgreSQL answers"
    SECURITY_TEST_MYSQL=$(first_answer mysql_answers "${SECURITY_TEST_MYSQL:-mysql://root@127.0.0.1:3306/test}") ||
        fail "neither MariaDB nor MySQL answers: $(tail -n 1 "$CI_RUN/mysql.log")"
    note "MariaDB or MySQL answers: $(tail -n 1 "$CI_RUN/mysql.log")"
    export SECURITY_TEST_POSTGRES SECURITY_TEST_MYSQL
}

# The tests then see what a machine without servers and browsers sees.
without_databases() {
    unset SECURITY_TEST_POSTGRES SECURITY_TEST_MYSQL SECURITY_TEST_REQUIRE SECURITY_TEST_PROVIDER SECURITY_TEST_PAGES
}

# What git sees of the working tree.
tree_state() {
    git status --porcelain=v1 --untracked-files=all 2>/dev/null || true
}
