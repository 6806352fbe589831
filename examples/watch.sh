#!/bin/sh
# Shows the state, the graph and the levels of jackd-router with busctl (systemd) and jq. It may be started before the daemon,
# does not start it, and follows when that is started again.
set -eu

name=io.github.jackd_router.Router1
root=/io/github/jackd_router/Router1

# Gives what a method answers as JSON, nothing while there is no daemon.   ask INTERFACE.METHOD [SIGNATURE ARGUMENT...]
ask() {
    member=$1 && shift
    busctl --user --json=short --auto-start=no call "$name" "$root" "$name.${member%.*}" "${member#*.}" "$@" 2>/dev/null || true
}

show_state() {
    state=$(ask Manager.GetStatus | jq -r '.data[0]["server-state"].data')
    echo "state: ${state:-no daemon}"
}

# The changes alone would do: see GraphChanged in dbus/. To ask again is simpler, and costs the daemon a millisecond.
show_graph() {
    ask Graph.ListConnections 'sa{sv}' '' 0 | jq -r '.data[0][] | "connection: " + join(" -> ")'
}

# Nothing is broadcast: ask as often as you draw, and only while you do.
show_levels() {
    while sleep 0.5; do
        ask Buses.GetLevels 'a{sv}' 0 | jq -rc '.data[0] | to_entries[] | "levels: \(.key) \([.value[][0] * 10 | round / 10])"'
    done
}

# Looks for the first time when busctl says that it listens: what changes before is seen, what changes after is told.
follow() {
    while read -r message; do
        case $message in
            'Monitoring bus message stream'* | *'"member":"NameOwnerChanged"'*) show_state && show_graph ;;
            *'"member":"PropertiesChanged"'*'"State"'*) show_state ;;
            *'"member":"GraphChanged"'*) show_graph ;;
        esac
    done
}

folder=$(mktemp -d)
mkfifo "$folder/messages"
SYSTEMD_LOG_LEVEL=info busctl --user --json=short monitor \
    --match="type='signal',sender='$name'" \
    --match="type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='$name'" >"$folder/messages" 2>&1 &
monitor=$!
show_levels &
trap 'kill $monitor $! 2>/dev/null || true; rm -r "$folder"' EXIT
trap exit INT TERM
follow <"$folder/messages"
