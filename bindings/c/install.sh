#!/usr/bin/env bash
# Builds the C library and installs library, header and pkg-config file. PREFIX (default /usr/local) is where they will
# be used, DESTDIR (default empty) is put before it while copying, as packagers expect.
set -euo pipefail
cd "$(dirname "$0")"
prefix=${PREFIX:-/usr/local}
top=${DESTDIR:-}$prefix
version=$(sed -n 's/^version = "\(.*\)"/\1/p' ../../Cargo.toml | head -n 1)

# Not the `release` profile: there a panic aborts, which a library must not do to its host.
cargo build --locked --profile library -p hanja-tap
built=${CARGO_TARGET_DIR:-../../target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}library

# What a static link needs beside it: the compiler knows.
private=$(cargo rustc --locked --profile library -p hanja-tap --lib -- --print native-static-libs 2>&1 |
    sed -n 's/^note: native-static-libs: //p')

install -d "$top/lib/pkgconfig" "$top/include"
# Before 1.0 a minor version may change the interface: it is part of the library's name.
install -m 755 "$built/libhanja_tap.so" "$top/lib/libhanja_tap.so.${version%.*}"
ln -sf "libhanja_tap.so.${version%.*}" "$top/lib/libhanja_tap.so"
install -m 644 "$built/libhanja_tap.a" "$top/lib/"
install -m 644 hanja_tap.h "$top/include/"
sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" -e "s|@PRIVATE@|$private|" hanja_tap.pc.in \
    >"$top/lib/pkgconfig/hanja_tap.pc"
echo "installed hanja_tap $version in $top"
