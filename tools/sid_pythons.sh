#!/bin/sh
# CPythons that this Debian does not have yet, from Debian sid: FOLDER VERSION…
#
#     tools/sid_pythons.sh .pythons 3.14 3.15      gives .pythons/usr/bin/python3.14 and 3.15
#
# Needs apt and the network, not root, and touches nothing but FOLDER (about 150 MB). apt checks the
# signature of sid's package list, and the packages by that list. Their programs bring sid's own C
# library: FOLDER/root is a tree to chroot into; FOLDER/usr runs from outside, and only from where
# it is, as its programs name loader and libraries by their full path.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
root=$folder/root
shift

apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/state" "$apt/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status" # as if nothing were installed, so that dependencies come along
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -m 1 '/debian/$') ||
    mirror=http://deb.debian.org/debian/
cat >"$apt/sid.sources" <<END
Types: deb
URIs: $mirror
Suites: sid
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sid.sources";
Dir::Etc::SourceParts "-";
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
END
packages="base-files patchelf"
for version; do packages="$packages python$version"; done
# shellcheck disable=SC2086
(
    export APT_CONFIG="$apt/apt.conf"
    apt-get -qq update
    apt-get -qq --yes --download-only install $packages
)
rm -rf "$root" "${folder:?}/usr"
mkdir -p "$root" "$folder/usr/bin"
for package in "$apt"/cache/archives/*.deb; do
    dpkg --extract "$package" "$root"
done

libraries=$(dirname "$(ls "$root"/usr/lib/*/libc.so.6)")
loader=$(ls "$root"/usr/lib*/ld-linux-*.so.*)
patch() {
    "$loader" --library-path "$libraries" "$root/usr/bin/patchelf" "$@"
}

ln -s ../root/usr/lib "$folder/usr/lib"
for version; do
    python=$folder/usr/bin/python$version
    cp "$root/usr/bin/python$version" "$python"
    patch --force-rpath --set-rpath "$libraries" "$python"
    patch --set-interpreter "$loader" "$python" # both at once: patchelf 0.18 writes a broken file
    "$python" -VV
done
