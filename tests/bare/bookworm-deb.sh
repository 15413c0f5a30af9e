#!/bin/sh
# Debian 12, where the package is made before anything else.
exec "${0%/*}/../lib/bare.sh" bookworm root deb
