#!/usr/bin/env bash
# Builds target/package/hanja-pipeline-VERSION-ARCH-linux.tar.gz for systems without dpkg: the files of the deb, and
# scripts that put them below a prefix and take them away again.
# shellcheck source=packaging/lib.sh
. "$(dirname "$0")/lib.sh"
arguments "$@"

package=hanja-pipeline-$version-${target%%-*}-linux
top=target/package/$package
stage "$top"
install -m 755 packaging/tarball/install.sh packaging/tarball/uninstall.sh "$top/"
install -m 644 packaging/tarball/README "$top/"
find "$top" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar -C target/package --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$package" |
    gzip -9n >"$top.tar.gz"
ls -l "$top.tar.gz"
