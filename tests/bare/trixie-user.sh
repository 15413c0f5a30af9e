#!/bin/sh
# Debian 13, as a plain user with sudo.
exec "${0%/*}/../lib/bare.sh" trixie user
