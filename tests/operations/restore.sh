#!/usr/bin/env bash
# Rehearses both ways of restoring the database, with the commands that docs/OPERATIONS.md names, on a scratch server:
#
#   1. a dump, restored into an empty database;
#   2. a base backup and the archived log, restored to the moment before somebody deleted everything.
#
# Usage: restore.sh [ROWS.sql]    (default: the rows of the sample events; local/src/large.sql for 200 gyms)
#
# It ends with an error where a restored database is not, row by row and object by object, what it was. It needs PostgreSQL's server
# and client programs, 15 or newer (on Debian and Ubuntu: apt-get install postgresql), and takes about 10 seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
rows=${1:-events/seed.sql}

step() { printf '\n-- %s\n' "$*"; }
fail() { printf 'restore.sh: %s\n' "$*" >&2; exit 1; }

# The programs: on the PATH, or the newest where Debian keeps them.
# shellcheck disable=SC2086 # the PATH is to be split
for directory in $(IFS=:; printf '%s\n' $PATH) $(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort --reverse); do
    if [ -x "$directory/postgres" ] && [ -x "$directory/pg_basebackup" ] && [ -x "$directory/pg_dump" ]; then
        programs=$directory
        break
    fi
done
[ -n "${programs:-}" ] || fail "PostgreSQL's programs are missing (on Debian and Ubuntu: apt-get install postgresql)"
PATH=$programs:$PATH

# PostgreSQL refuses to run as root; root runs it as this user, `nobody` on most systems.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}

scratch=$(mktemp --directory /var/tmp/gymbrah-restore-XXXXXX)
chmod 755 "$scratch"
archive=$scratch/server/archive
mkdir -p "$archive"
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$scratch/server"

stop() { # the data directory
    [ ! -e "$1/postmaster.pid" ] || (cd / && as_server pg_ctl stop --silent --wait --mode=immediate --pgdata="$1")
}
clean_up() {
    stop "$scratch/server/original"
    stop "$scratch/server/restored"
    rm -rf "$scratch"
}
trap clean_up EXIT

for variable in $(compgen -v PG); do unset "$variable"; done # libpq's, which would change what the programs do
export PGHOST=127.0.0.1 PGUSER=postgres PGTZ=UTC PGOPTIONS='--client-min-messages=warning'
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }

start() { # the data directory, the port, more settings
    local data=$1 port=$2
    shift 2
    (cd / && as_server pg_ctl start --silent --wait --timeout=60 --pgdata="$data" --log="$data.log" \
        --options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= $*") || { cat "$data.log" >&2; return 1; }
}

# What a database holds: for each table how many rows, and a digest of them in whatever order.
contents() { # port, database
    sql --port="$1" --dbname="$2" <<'SQL'
SELECT format('SELECT %L, count(*), sum(hashtextextended(r::text, 0)::numeric) FROM %s AS r', oid::regclass, oid::regclass)
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname \gexec
SQL
}

# Every table, constraint, index, function, view and comment. pg_dump draws the key in \restrict anew every time.
schema() { pg_dump --port="$1" --schema-only "$2" | grep -v '^\\\(un\)\?restrict '; }

# Whether the database does what the functions ask of it: they sign somebody in, read the roster, and rely on constraints.
serves() { # port, database
    local roster refusal
    roster=$(sql --port="$1" --dbname="$2" --command "BEGIN" \
        --command "SELECT id FROM sign_in('0196ffff-0000-7000-8000-000000000001', 'new@restored.example', 'New', NULL)" \
        --command "SELECT count(*) FROM roster" --command "ROLLBACK")
    # As the role that the functions log in as: its rights are restored too, and no more than those.
    sql --port="$1" --dbname="$2" --command 'SET ROLE onboarding_functions' --command 'SELECT count(*) FROM roster' >/dev/null ||
        fail "the functions' role can't read the restored database"
    ! sql --port="$1" --dbname="$2" --command 'SET ROLE onboarding_functions' --command 'TRUNCATE waitlist' >/dev/null 2>&1 ||
        fail "the functions' role may truncate a table"
    [ "$(sed -n 2p <<<"$roster")" -gt 0 ] || fail "the restored roster is empty: $roster"
    refusal=$(sql --port="$1" --dbname="$2" --command \
        "INSERT INTO athlete (id, invited_by, athlete_code, email, phone) SELECT gen_random_uuid(), invited_by, athlete_code, email, phone FROM athlete LIMIT 1" 2>&1) &&
        fail "the restored database takes an athlete twice"
    grep --quiet 'athlete_code_key\|unique constraint' <<<"$refusal" || fail "refused for another reason: $refusal"
}

same() { # what, before, after
    [ "$2" = "$3" ] || { diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") >&2 || true; fail "$1 differ after the restoration"; }
}

step "a server that archives its log, with the schema and the rows of $rows"
as_server initdb --pgdata="$scratch/server/original" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync \
    --no-instructions >"$scratch/initdb.log"
port=$(free_port)
start "$scratch/server/original" "$port" -c fsync=off -c archive_mode=on \
    -c "archive_command='cp %p $archive/%f.part && mv $archive/%f.part $archive/%f'" # never half a file
sql --port="$port" --dbname=postgres --command 'CREATE DATABASE onboarding'
for migration in migrations/V*.sql; do
    sql --port="$port" --dbname=onboarding --single-transaction --file="$migration"
done
sql --port="$port" --dbname=onboarding --file="$rows" >"$scratch/rows.log"
contents "$port" onboarding

step "1. a dump, restored into an empty database"
SECONDS=0
pg_dump --port="$port" --format=custom --file="$scratch/onboarding.dump" onboarding
echo "dumped in $SECONDS s, $(stat --format=%s "$scratch/onboarding.dump") bytes"
SECONDS=0
sql --port="$port" --dbname=postgres --command 'CREATE DATABASE from_dump'
pg_restore --port="$port" --dbname=from_dump --exit-on-error --single-transaction "$scratch/onboarding.dump"
echo "restored in $SECONDS s"
same "rows" "$(contents "$port" onboarding)" "$(contents "$port" from_dump)"
same "objects" "$(schema "$port" onboarding)" "$(schema "$port" from_dump)"
serves "$port" from_dump

step "2. a base backup; then life goes on, and somebody deletes everything"
SECONDS=0
(cd / && as_server pg_basebackup --port="$port" --pgdata="$scratch/server/restored" --checkpoint=fast --no-sync)
echo "base backup in $SECONDS s"
sql --port="$port" --dbname=onboarding --command "INSERT INTO waitlist (id, email)
    SELECT gen_random_uuid(), 'after-the-backup-' || n || '@example.org' FROM generate_series(1, 1000) AS n"
before=$(contents "$port" onboarding)
objects=$(schema "$port" onboarding)
moment=$(sql --port="$port" --dbname=onboarding --command 'SELECT clock_timestamp()')
sql --port="$port" --dbname=onboarding --command 'TRUNCATE business CASCADE; DELETE FROM waitlist'
[ "$before" != "$(contents "$port" onboarding)" ] || fail "the disaster did no harm, so this proves nothing"

# The last piece of the log: `pg_switch_wal` closes it, and the archiver takes it.
last=$(sql --port="$port" --dbname=postgres --command 'SELECT pg_walfile_name(pg_switch_wal())')
for _ in $(seq 100); do
    [ ! -f "$archive/$last" ] || break
    sleep 0.1
done
[ -f "$archive/$last" ] || fail "the log was not archived within 10 seconds"
stop "$scratch/server/original"

step "restored to $moment"
as_server touch "$scratch/server/restored/recovery.signal"
SECONDS=0
port=$(free_port)
start "$scratch/server/restored" "$port" -c "restore_command='cp $archive/%f %p'" \
    -c "recovery_target_time='$moment'" -c recovery_target_action=promote
for _ in $(seq 300); do
    [ "$(sql --port="$port" --dbname=postgres --command 'SELECT pg_is_in_recovery()')" != f ] || break
    sleep 0.1
done
echo "restored in $SECONDS s"
same "rows" "$before" "$(contents "$port" onboarding)"
same "objects" "$objects" "$(schema "$port" onboarding)"
serves "$port" onboarding
contents "$port" onboarding

printf '\nBoth restorations gave back every row and every object.\n'
