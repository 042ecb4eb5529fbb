#!/bin/sh
# Installs what lies beside this script, or upgrades what an older one installed. Nothing is started or enabled: a camera
# is switched on only when somebody asks for it.
set -eu

usage() {
    cat <<'END'
usage: install.sh [--prefix DIR] [--root DIR]
  --prefix DIR  where executables and documents go [/usr/local]
  --root DIR    install into a directory that will be the root of another system, such as an image
Units go to /usr/local/lib/systemd/system whatever the prefix, the configuration to /etc/hanja/hanja.toml.
END
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

prefix=/usr/local
root=
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -gt 1 ] || fail "--prefix needs a directory" && prefix=$2 && shift ;;
    --root) [ $# -gt 1 ] || fail "--root needs a directory" && root=$2 && shift ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done
prefix=${prefix%/}
case $prefix in
/home/* | /root | /root/* | /run/* | /tmp/*) fail "the services see no file below $prefix; take /usr/local or a directory in /opt" ;;
/usr) fail "/usr belongs to the packages of the distribution; take /usr/local or a directory in /opt" ;;
/*) ;;
*) fail "the prefix must be an absolute path, not '$prefix'" ;;
esac
case $prefix in *[!A-Za-z0-9/._-]*) fail "the prefix may have letters, digits and / . _ - only: '$prefix'" ;; esac
[ -z "$root" ] || [ -d "$root" ] || fail "there is no directory $root"
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "must be run by root; try: sudo ./install.sh"

here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
[ -f usr/bin/hanja ] || fail "usr/bin/hanja is not beside this script; unpack the whole archive"
if [ -z "$root" ]; then
    usr/bin/hanja --version >/dev/null || fail "usr/bin/hanja does not run here: see above; it was built for another machine or a newer C library"
fi

state=$root$prefix/share/hanja-pipeline
list=$state/installed-files
old=$(mktemp)
new=$(mktemp)
trap 'rm -f "$old" "$new"' EXIT
[ ! -f "$list" ] || cp "$list" "$old"

# Where a file of usr/ goes.
place() {
    case $1 in
    usr/lib/systemd/* | usr/lib/sysusers.d/* | usr/lib/tmpfiles.d/*) echo "/usr/local/${1#usr/}" ;;
    *) echo "$prefix/${1#usr/}" ;;
    esac
}

# Text that names places, for this prefix.
adapt() {
    sed -e "s|/usr/bin/hanja|$prefix/bin/hanja|g" -e "s|/usr/share/|$prefix/share/|g" -e "s|^prefix=/usr\$|prefix=$prefix|" "$1"
}

find usr ! -type d | LC_ALL=C sort | while read -r file; do
    to=$(place "$file")
    mkdir -p "$root$(dirname "$to")"
    if [ -h "$file" ]; then
        rm -f "$root$to"
        cp -P "$file" "$root$to"
    else
        mode=644
        [ ! -x "$file" ] || mode=755
        # A running executable cannot be written to, but a new one can take its name.
        case $file in
        *.service | *.socket | *.pc | *.conf | *.[158]) adapt "$file" >"$root$to.new" ;;
        *) cp "$file" "$root$to.new" ;;
        esac
        chmod $mode "$root$to.new"
        mv -f "$root$to.new" "$root$to"
    fi
    echo "$to" >>"$new"
done
cp uninstall.sh "$state/uninstall.sh"
chmod 755 "$state/uninstall.sh"
cp "$new" "$list"
chmod 644 "$list"
# What the older version had and this one does not.
LC_ALL=C sort "$new" -o "$new"
LC_ALL=C sort "$old" | LC_ALL=C comm -23 - "$new" | while read -r gone; do rm -f "$root$gone"; done

mkdir -p "$root/etc/hanja"
conf=$root/etc/hanja/hanja.toml
adapt etc/hanja/hanja.toml >"$conf.new"
chmod 644 "$conf.new"
if [ -f "$conf" ] && ! cmp -s "$conf" "$conf.new"; then
    echo "$conf is kept; this version's own is $conf.new"
else
    mv -f "$conf.new" "$conf"
fi

if [ -z "$root" ]; then
    ! command -v ldconfig >/dev/null || ldconfig
    systemd-sysusers /usr/local/lib/sysusers.d/hanja-pipeline.conf
    systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/hanja-pipeline.conf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        for stage in capture infer render; do
            systemctl try-restart "hanja-$stage.service" || true
        done
    fi
fi
echo "installed in $root$prefix; to start it now and at every boot: systemctl enable --now hanja-pipeline"
echo "to remove it: $prefix/share/hanja-pipeline/uninstall.sh"
