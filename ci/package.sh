#!/usr/bin/env bash
# The Debian package and the tarball: lintian, contents, manual pages, completions, units, maintainer scripts as far as
# they go without a running system (tests/system has the rest), installation below a prefix and its removal.
. "$(dirname "$0")/lib.sh"
need lintian dpkg-dev man-db groff bash-completion shellcheck systemd zsh fish

# Fails if the command finds something, and shows it.
none() {
    local found
    found=$("$@" || true)
    [ -z "$found" ] || { echo "$1: $found" >&2; exit 1; }
}

shellcheck -x packaging/*.sh packaging/tarball/*.sh
shellcheck packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
bash packaging/deb.sh
deb=target/debian/hanja-pipeline_$version-1_$(dpkg --print-architecture).deb
lintian --fail-on error,warning --suppress-tags bogus-mail-host "$deb"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb -x "$deb" "$root"
echo "package: $(stat -c %s "$deb") bytes; installed: $(dpkg-deb -f "$deb" Installed-Size) KiB"

lib=usr/lib/$(uname -m)-linux-gnu
# What a user looks for is there, and nothing has a name of the machine it was built on.
for file in usr/bin/hanja usr/bin/hanja-model etc/hanja/hanja.toml usr/include/hanja_tap.h "$lib/libhanja_tap.so" \
    "$lib/pkgconfig/hanja_tap.pc" usr/lib/python3/dist-packages/hanja_tap.py usr/lib/sysusers.d/hanja-pipeline.conf \
    usr/lib/tmpfiles.d/hanja-pipeline.conf usr/lib/systemd/system/hanja-{pipeline,capture,infer,render}.service \
    usr/lib/systemd/system/hanja-{capture,infer,render}{,-tap}.socket usr/share/hanja-pipeline/models/hanja-n.onnx \
    usr/share/doc/hanja-pipeline/{copyright,changelog.gz,changelog.Debian.gz,third-party-licences.txt.gz} \
    usr/share/doc/hanja-pipeline/{README.md,docs/operations.md,docs/tap.md,examples/infer-cuda.conf} \
    usr/share/man/man{1/hanja.1,1/hanja-model.1,5/hanja.toml.5,8/hanja-pipeline.8}.gz; do
    [ -e "$root/$file" ] || { echo "$file is missing in the package" >&2; exit 1; }
done
[ "$(dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./conffiles)" = /etc/hanja/hanja.toml ]
"$root/usr/bin/hanja" --version
"$root/usr/bin/hanja" --config "$root/etc/hanja/hanja.toml" check
PYTHONPATH=$root/usr/lib/python3/dist-packages python3 -c 'import hanja_tap'
none grep -rlF "$PWD" "$root/etc" "$root/usr/lib/systemd" "$root/usr/share" "$root/$lib/pkgconfig"

# A page for every command, without a complaint.
for page in "$root"/usr/share/man/man*/*; do
    complaints=$(MANROFFSEQ='' MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)
    [ -z "$complaints" ] || { echo "$page: $complaints" >&2; exit 1; }
done
commands() { "$@" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx help; }
for name in hanja hanja-model; do
    for command in $(commands "$root/usr/bin/$name"); do
        [ -f "$root/usr/share/man/man1/$name-$command.1.gz" ] || { echo "no page for $name $command" >&2; exit 1; }
    done
done
# And a word on every key of the configuration: the executable knows them, and says so when asked for a wrong one.
for table in '' '[capture]' '[infer]' '[render]'; do
    printf '%s\nqqq = 1\n' "$table" >"$root/bad.toml"
    known=$("$root/usr/bin/hanja" --config "$root/bad.toml" doctor 2>&1 | sed -n 's/.*known here: //p' || true)
    [ -n "$known" ]
    for key in ${known//,/ }; do
        # The tables themselves are sections.
        case $key in capture | infer | render) continue ;; esac
        zcat "$root/usr/share/man/man5/hanja.toml.5.gz" | grep -Eq "^\.BR? ${key//_/\\\\?_} " || {
            echo "hanja.toml(5) has nothing about $key" >&2
            exit 1
        }
    done
done

# Completions load, and complete.
bash -c '. "$1/usr/share/bash-completion/completions/hanja"
    COMP_WORDS=(hanja doc) COMP_CWORD=1; _hanja hanja doc hanja; [ "${COMPREPLY[*]}" = doctor ]' bash "$root"
fish --no-config -c "source $root/usr/share/fish/vendor_completions.d/hanja.fish; complete -C 'hanja doc'" | grep -q ^doctor
zsh -fc "autoload -Uz compinit; fpath=($root/usr/share/zsh/vendor-completions \$fpath); compinit -u -d $root/dump
    [ \"\${_comps[hanja]}\" = _hanja ] && autoload +X _hanja && (( \${+functions[_hanja]} ))"

# Units as systemd reads them, in a tree of their own so that nothing of this machine counts.
verify() {
    local tree=$1 prefix=$2
    install -D -t "$tree/bin" /bin/sh /bin/true /bin/systemctl
    systemd-analyze verify --root="$tree" --man=no --recursive-errors=no \
        "$prefix"/lib/systemd/system/hanja-{pipeline,capture,infer,render}.service 2>&1 | grep hanja
    rm -r "$tree/bin"
}
none verify "$root" /usr

# The tarball: below a prefix in the root of another system, again over itself, and away.
bash packaging/tarball.sh --no-build
archive=target/package/hanja-pipeline-$version-$(uname -m)-linux.tar.gz
mkdir "$root/unpacked" "$root/other"
tar -xzf "$archive" -C "$root/unpacked"
other=$root/other
from=$(echo "$root"/unpacked/*)
"$from/install.sh" --root "$other" --prefix /opt/hanja
"$other/opt/hanja/bin/hanja" --version
grep -q '^ExecStart=/opt/hanja/bin/hanja ' "$other/usr/local/lib/systemd/system/hanja-capture.service"
grep -q '^prefix=/opt/hanja$' "$other/opt/hanja/lib/pkgconfig/hanja_tap.pc"
none grep -rn '/usr/\(bin/hanja\|share/\)' "$other/usr/local/lib" "$other/etc"
none verify "$other" /usr/local
echo '# mine' >>"$other/etc/hanja/hanja.toml"
# An older version had one file more.
touch "$other/opt/hanja/bin/hanja-old"
echo /opt/hanja/bin/hanja-old >>"$other/opt/hanja/share/hanja-pipeline/installed-files"
"$from/install.sh" --root "$other" --prefix /opt/hanja
[ ! -e "$other/opt/hanja/bin/hanja-old" ]
grep -q '^# mine' "$other/etc/hanja/hanja.toml" && [ -f "$other/etc/hanja/hanja.toml.new" ]
"$other/opt/hanja/share/hanja-pipeline/uninstall.sh" --root "$other"
[ "$(find "$other" -type f | sed "s|^$other||" | sort | tr '\n' ' ')" = "/etc/hanja/hanja.toml /etc/hanja/hanja.toml.new " ]
"$from/install.sh" --root "$other"
"$other/usr/local/share/hanja-pipeline/uninstall.sh" --root "$other" --purge
[ -z "$(find "$other" -type f)" ] && [ ! -d "$other/etc/hanja" ] && [ ! -d "$other/usr/local/share/hanja-pipeline" ]
for wrong in /usr /home/me/hanja relative '/opt/a b'; do
    if "$from/install.sh" --root "$other" --prefix "$wrong" 2>/dev/null; then
        echo "install.sh takes the prefix $wrong" >&2
        exit 1
    fi
done
echo "tarball: $(stat -c %s "$archive") bytes"
