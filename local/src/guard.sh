# Runs a program that must not outlive its owner, whatever ends the owner.
#
# Standard input is a pipe that the owner alone holds open and never writes to. The system closes it when the owner lets go
# or dies, however it dies; then the program's process group gets the signal $1, and after $2 seconds SIGKILL. When the
# program has ended, the directory $3 (may be empty: none) is removed, and this script ends with the program's status.
unset GUARD
signal=$1
grace=$2
directory=$3
shift 3

# The signal for the group reaches this shell too: it has to stay and clean up. A handler, unlike an ignored signal, is not
# passed on to the program.
trap : INT TERM

exec 3<&0
"$@" </dev/null 3<&- &
program=$!

(
    trap '' INT TERM
    while read -r _ <&3; do :; done
    kill -s "$signal" 0
    tenths=$((grace * 10))
    while [ "$tenths" -gt 0 ] && kill -0 "$program" 2>/dev/null; do
        sleep 0.1
        tenths=$((tenths - 1))
    done
    kill -s KILL "$program" 2>/dev/null
) &
watcher=$!
exec 3<&-

# A handled signal interrupts `wait`: the program has ended only when it can't be signalled any more.
while :; do
    wait "$program"
    status=$?
    kill -0 "$program" 2>/dev/null || break
done

kill -s KILL "$watcher" 2>/dev/null
[ -z "$directory" ] || rm -rf -- "$directory"
exit "$status"
