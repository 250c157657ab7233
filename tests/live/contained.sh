#!/bin/sh
# Runs a command in a root of its own, as a container runtime does: ROOT SYSTEM PYTHON APP COMMAND…
#
# The empty folder ROOT becomes the root: with the programs and libraries of SYSTEM ("/" or such a
# tree), the folder PYTHON as /opt/python, and APP as /srv. To be called in new namespaces:
#     unshare --mount --net --pid --fork --kill-child
set -eu
root=$1 system=$2 python=$3 app=$4
shift 4
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p dev etc opt/python proc srv tmp usr
for folder in bin sbin lib lib64; do ln -s "usr/$folder" .; done
mount --rbind "$system/usr" usr
mount --rbind "$system/etc" etc
mount --rbind /dev dev
mount --bind "$python" opt/python
mount --bind "$app" srv
mount -t proc proc proc
ip link set lo up
pivot_root . tmp # where the old root stays: not every SYSTEM has an umount
cd /
export LD_LIBRARY_PATH=/opt/python/lib
exec "$@"
