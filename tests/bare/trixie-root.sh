#!/bin/sh
# Debian 13, as root.
exec "${0%/*}/../lib/bare.sh" trixie root
