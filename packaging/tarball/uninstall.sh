#!/bin/sh
# Stops the pipeline and removes what install.sh has installed. The configuration stays, unless --purge is given; users
# and groups stay in any case, so that nobody else gets their numbers and with them files that may be left.
set -eu

root=
purge=
while [ $# -gt 0 ]; do
    case $1 in
    --purge) purge=yes ;;
    --root) root=${2:-} && shift ;;
    *)
        echo "usage: uninstall.sh [--purge] [--root DIR]
  --purge     also /etc/hanja and /var/cache/hanja-pipeline
  --root DIR  what install.sh --root DIR has installed" >&2
        exit 2
        ;;
    esac
    shift
done
[ -n "$root" ] || [ "$(id -u)" = 0 ] || {
    echo "uninstall.sh: must be run by root; try: sudo $0" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
list=$here/installed-files
[ -f "$list" ] || {
    echo "uninstall.sh: $list is missing; run the uninstall.sh that install.sh has left in PREFIX/share/hanja-pipeline" >&2
    exit 1
}

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now hanja-pipeline.service || true
    for stage in capture infer render; do
        systemctl stop "hanja-$stage.socket" "hanja-$stage-tap.socket" "hanja-$stage.service" || true
    done
fi

while read -r file; do rm -f "$root$file"; done <"$list"
# Directories that are empty now and carry this program's name.
while read -r file; do
    dir=$(dirname "$file")
    while :; do
        case $dir in */hanja-pipeline | */hanja-pipeline/*) ;; *) break ;; esac
        rmdir "$root$dir" 2>/dev/null || break
        dir=$(dirname "$dir")
    done
done <"$list"
rm -f "$here/installed-files" "$here/uninstall.sh"
rmdir "$here" 2>/dev/null || true

if [ -z "$root" ]; then
    rm -rf /run/hanja
    ! command -v ldconfig >/dev/null || ldconfig
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
if [ -n "$purge" ]; then
    rm -rf "$root/etc/hanja" "$root/var/cache/hanja-pipeline"
else
    echo "kept: $root/etc/hanja (uninstall.sh --purge removes it as well)"
fi
