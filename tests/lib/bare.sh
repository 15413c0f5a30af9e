#!/usr/bin/env bash
# bare RELEASE root|user [deb]: the first commands of somebody new (deb: who makes the package first), on a fresh Debian that has nothing but make,
# git and ca-certificates (a plain user also has sudo), no LANG, and for the user no /usr/sbin in PATH.
# The checkout's HEAD is cloned there. Prints TAP; what each command printed is in build/log/bare/. Needs
# root. In namespaces of its own: whatever ends it, no process and no mount is left.
# shellcheck disable=SC2016,SC2317 # expanded there; called by their names
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
# shellcheck source=tests/lib/debian.bash
. tests/lib/debian.bash

release=$1 who=$2 goal=${3:-run}
name=$release-$who
[[ $goal == run ]] || name=$release-$goal
place=$PWD/build/bare
system=$place/$name
logs=$PWD/build/log/bare/$name
login=root home=/root
[[ $who == root ]] || login=builder home=/home/builder
port=
number=0 status=0

# try TEXT COMMAND ...: one line of TAP; when it fails, the end of what it printed.
try()
{
    local log

    number=$((number + 1))
    log=$logs/$number.log
    if "${@:2}" >"$log" 2>&1 </dev/null; then
        printf 'ok %d - %s\n' "$number" "$1"
    else
        printf 'not ok %d - %s\n# %s\n' "$number" "$1" "$log"
        tail -n 80 "$log" | sed 's/^/# /'
        status=1
    fi
}

# As after a login there: with the PATH of a login, and nothing else of this environment.
there()
{
    env -i TERM=dumb PATH=/usr/sbin:/usr/bin chroot "$system" su - "$login" -c "cd stack-orchestrator 2>/dev/null; $1"
}

# --- What is there before the first command ---

make_system()
{
    local base=$place/$release

    mkdir -p "$place"
    if [[ ! -d $base ]]; then
        rm -rf "$base.new"
        debian_make "$release" "$base.new" make,git,ca-certificates && mv "$base.new" "$base" || return
    fi
    rm -rf "$system"
    cp -a "$base" "$system"
    printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$(uname -n)" >"$system/etc/hosts"
    cp -L /etc/resolv.conf "$system/etc/resolv.conf"
    git init -q --bare -b main "$system/srv/stack-orchestrator.git"
    git -C "$system/srv/stack-orchestrator.git" fetch -q "$PWD" HEAD:refs/heads/main
}

mount_system()
{
    mount --make-rprivate / &&
        mount --rbind /dev "$system/dev" &&
        mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$system/dev/pts" &&
        mount -t tmpfs -o mode=1777 tmpfs "$system/dev/shm" &&
        mount -t proc proc "$system/proc" &&
        mount -t sysfs -o ro sysfs "$system/sys" &&
        mount --bind "$(debian_packages "$release")" "$system/var/cache/apt/archives"
}

make_user()
{
    [[ $who == user ]] || return 0
    chroot "$system" sh -c 'apt-get update && apt-get install -y --no-install-recommends sudo' &&
        chroot "$system" useradd --create-home --shell /bin/bash "$login" &&
        printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$login" >"$system/etc/sudoers.d/$login"
}

is_bare()
{
    local program

    there env || return
    [[ -z $(there 'echo "${LANG:-}${LC_ALL:-}"') ]] || return
    [[ $who == root ]] || [[ :$(there 'echo "$PATH"'): != *:/usr/sbin:* ]] || return
    for program in gcc curl jq pgrep python3 nginx bats; do
        ! there "command -v $program" || return
    done
}

prepare()
{
    mount_system && make_user && is_bare || return
    chown -R "$(stat -c %u "$system$home")" "$system/srv/stack-orchestrator.git"
    names >"$logs/names"
}

# --- What somebody new does ---

clone()
{
    there 'git clone /srv/stack-orchestrator.git stack-orchestrator'
}

# On a port that nobody has: another root may be run beside this one.
make_run()
{
    there 'make run PORT=0' && port=$(<"$system$home/stack-orchestrator/var/port")
}

# The lines that `make run` printed, typed into one shell.
run_lines()
{
    local lines

    lines=$(sed -n '/^Go on by hand:/,/^`make stop/{s/^  //p}' "$logs/3.log")
    printf '%s\n' "$lines"
    [[ $(wc -l <<<"$lines") -ge 5 ]] && there "set -eu; $lines"
}

make_test()
{
    there 'make test'
}

ends_green()
{
    tail -n 1 "$logs/5.log" | grep -E '^[0-9]{3,} passed, 0 failed$'
}

make_stop()
{
    there 'make stop' && [[ -n $port ]] && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# The names in directories where nothing of ours belongs.
names()
{
    (cd "$system" && ls -A . tmp var/tmp "${home#/}" opt mnt dev/shm)
}

# Of all processes only this script is left, and of all files those in the checkout, and packages.
nothing_is_left()
{
    local file command left=''

    for file in "$system"/proc/[0-9]*/cmdline; do
        command=$(tr '\0' ' ' 2>/dev/null <"$file") || continue
        [[ -z $command || $command == */lib/bare.sh* ]] || left+=$command$'\n'
    done
    # Packages may bring /lib32.
    left+=$(diff "$logs/names" <(names) | grep '^[<>]' | grep -vxE '> (stack-orchestrator|libx?[0-9]+)')
    # What has a line in .gitignore may be there, but only for a reason: the last is of the lines typed above.
    left+=$(there 'git status --porcelain --ignored' | grep -vxE '!! (build/|var/|\.ci-stack-state\.json|.*/__pycache__/)')
    [[ -z $left ]] || { printf 'left:\n%s\n' "$left" && return 1; }
}

make_package()
{
    there 'make deb' && (cd "$system$home/stack-orchestrator/build" && dpkg-deb --info stack-orchestrator_*.deb)
}

inside()
{
    local planned=8

    [[ $goal != deb ]] || planned=3
    printf '1..%d\n' "$planned"
    try "$name: nothing is there but make, git, ca-certificates" prepare
    ((status == 0)) || exit 1
    try "$name: git clone" clone
    if [[ $goal == deb ]]; then
        try "$name: make deb" make_package
        exit "$status"
    fi
    try "$name: make run" make_run
    try "$name: the lines that it prints" run_lines
    try "$name: make test" make_test
    try "$name: … ends with a count of tests that passed" ends_green
    try "$name: make stop" make_stop
    try "$name: no process is left, and no file outside of the checkout" nothing_is_left
    rm -rf "$logs/tests"
    cp -a "$system$home/stack-orchestrator/build/log" "$logs/tests"
    exit "$status"
}

if [[ ${4:-} == inside ]]; then
    inside
fi
[[ $(id -u) == 0 ]] || { printf '1..1\nnot ok 1 - %s: needs root\n' "$name" && exit 1; }
mkdir -p "$place" "$logs"
exec 9>"$place/lock"
flock 9 # one at a time: each takes the whole machine
rm -rf "$logs"
mkdir -p "$logs"
make_system >"$logs/system.log" 2>&1 || { printf '1..1\nnot ok 1 - %s: no system\n' "$name" && sed 's/^/# /' "$logs/system.log" && exit 1; }
unshare --mount --pid --fork --kill-child "$0" "$release" "$who" "$goal" inside 9>&-
status=$?
rm -rf --one-file-system "$system"
exit "$status"
