#!/usr/bin/env bash
# Builds target/debian/hanja-pipeline_VERSION_ARCH.deb. Needs dpkg-dev; cargo-deb is installed where it is missing.
# shellcheck source=packaging/lib.sh
. "$(dirname "$0")/lib.sh"
arguments "$@"

# The last version whose package has been looked at. Not the one somebody has by chance: formats of metadata change.
cargo_deb=3.8.0
tools=${CARGO_TARGET_DIR:-target}/tools
if [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" != "cargo-deb $cargo_deb" ]; then
    cargo install --locked --quiet --debug --force --version "$cargo_deb" --root "$tools" cargo-deb
fi

# cli/Cargo.toml names this directory; one below target/ would be taken for something to build.
root=packaging/root
stage "$root"

# What lies elsewhere on Debian than on other systems, and what its policy wants.
case ${target%%-*} in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) arch=$(dpkg --print-architecture) ;;
esac
doc=$root/usr/share/doc/hanja-pipeline
lib=usr/lib/${target%%-*}-linux-gnu
install -d "$root/$lib/pkgconfig" "$root/usr/lib/python3/dist-packages" "$root/usr/share/lintian/overrides"
mv "$root"/usr/lib/libhanja_tap.so* "$root/$lib/"
mv "$root/usr/lib/pkgconfig/hanja_tap.pc" "$root/$lib/pkgconfig/"
sed -i "s|^libdir=.*|libdir=/$lib|" "$root/$lib/pkgconfig/hanja_tap.pc"
mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
mv "$root/usr/share/hanja-pipeline/python/hanja_tap.py" "$root/usr/lib/python3/dist-packages/"
rmdir "$root/usr/lib/pkgconfig" "$root/usr/share/hanja-pipeline/python"
install -m 644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/hanja-pipeline"
rm "$doc/LICENSE-MIT" "$doc/LICENSE-APACHE"
mv "$doc/CHANGELOG.md" "$doc/changelog"
sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$(date -u -R -d "@$SOURCE_DATE_EPOCH")/" \
    packaging/deb/changelog.in >"$doc/changelog.Debian"
gzip -9n "$doc/changelog" "$doc/changelog.Debian" "$doc/third-party-licences.txt"
[ ! -f "$doc/rust-standard-library.html" ] || gzip -9n "$doc/rust-standard-library.html"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tools/bin/cargo-deb" deb --quiet --no-build --no-strip --fast -p hanja --target "$target" --output "$work/first.deb"
# Packed anew: the models lie in it three times, and cargo-deb compresses in blocks too small to notice, which makes it
# more than twice as large. And a library says what depends on it.
dpkg-deb -R "$work/first.deb" "$work/tree"
echo "libhanja_tap ${version%.*} hanja-pipeline (>= $version)" >"$work/tree/DEBIAN/shlibs"
touch -d "@$SOURCE_DATE_EPOCH" "$work/tree/DEBIAN/shlibs"
mkdir -p target/debian
dpkg-deb --root-owner-group -Zxz -z9 -b "$work/tree" "target/debian/hanja-pipeline_$version-1_$arch.deb"
