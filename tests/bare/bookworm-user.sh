#!/bin/sh
# Debian 12, as a plain user with sudo.
exec "${0%/*}/../lib/bare.sh" bookworm user
