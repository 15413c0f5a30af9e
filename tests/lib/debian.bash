# shellcheck shell=bash
# Fresh Debian systems in a directory, for tests. Needs root and debootstrap.

# The mirror that this machine's own packages come from.
debian_mirror()
{
    local mirror

    mirror=$(apt-get indextargets --format '$(SITE) $(COMPONENT)' 'Identifier: Packages' |
        awk '$1 ~ /\/debian\/?$/ && $2 == "main" { print $1; exit }')
    printf '%s\n' "${mirror:-http://deb.debian.org/debian}"
}

# Where packages of a release are kept once they were fetched.
debian_packages()
{
    local directory

    directory=$(readlink -m "${BASH_SOURCE[0]}/../../../build/debian/$1")
    mkdir -p "$directory"
    printf '%s\n' "$directory"
}

# debian_make RELEASE DIR PACKAGE[,PACKAGE ...]: the smallest system of that release, and these packages.
debian_make()
{
    debootstrap --variant=minbase --cache-dir="$(debian_packages "$1")" --include="$3" \
        "$1" "$2" "$(debian_mirror)" >"$2.log" 2>&1 || { tail -n 5 "$2.log" >&2 && return 1; }
}
