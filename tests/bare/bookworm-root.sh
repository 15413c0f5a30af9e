#!/bin/sh
# Debian 12, as root.
exec "${0%/*}/../lib/bare.sh" bookworm root
