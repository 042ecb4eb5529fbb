#!/usr/bin/env bash
# A small root file system with systemd, from the package sources of this machine, so that an executable built here runs
# there. Prints the directory that holds it: `root/`, and `root.ext4` when asked for with --ext4. Builds only if the
# cache has none; about half a minute. Needs root.
. "$(dirname "$0")/lib.sh"
# python3: the tests; v4l-utils: setting up cameras; adduser, procps: what people have.
packages=systemd-sysv,udev,kmod,python3,v4l-utils,procps,adduser

# What the tests do without, and what only costs time at boot. PID 1 and journald stay as they come.
mask=(systemd-firstboot systemd-hwdb-update ldconfig systemd-update-utmp systemd-update-utmp-runlevel systemd-update-done
    systemd-pstore systemd-random-seed systemd-network-generator systemd-remount-fs systemd-machine-id-commit
    systemd-boot-system-token systemd-binfmt systemd-fsck-root systemd-user-sessions
    modprobe@drm modprobe@efi_pstore modprobe@dm_mod modprobe@loop modprobe@fuse modprobe@configfs)
mask_whole=(getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer
    systemd-tmpfiles-clean.timer proc-sys-fs-binfmt_misc.automount dev-hugepages.mount sys-kernel-debug.mount
    sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount)

sources() {
    local list=/etc/apt/sources.list.d
    for file in "$list/debian.sources" "$list/ubuntu.sources" /etc/apt/sources.list; do
        [ -s "$file" ] && echo "$file" && return
    done
    fail "no package sources in /etc/apt: the image can be built on Debian and Ubuntu only"
}

codename() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

build() {
    local to=$1 work root
    [ "$(id -u)" = 0 ] || fail "building the image needs root"
    need mmdebstrap
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/image.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    root=$work/root
    say "building the image"
    mmdebstrap --quiet --mode=root --format=directory --variant=essential --include="$packages" \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/i18n/*' \
        "$(codename)" "$root" "$(sources)" 2>"$work/log" || {
        tail -5 "$work/log" >&2
        fail "mmdebstrap failed"
    }
    furnish "$root"
    chmod 755 "$work"
    rm "$work/log"
    mv "$work" "$to"
}

furnish() {
    local root=$1 units=$1/etc/systemd/system unit
    echo hanja-test >"$root/etc/hostname"
    : >"$root/etc/fstab"
    # Without one every boot would be a first boot, with its presets.
    echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
    mkdir -p "$root/host" "$root/lib/modules" "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/test.conf"
    rm -rf "$units"/*.wants "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/usr/lib/udev/hwdb.*
    # No sources: what is not in the image is not fetched behind a test's back.
    rm -rf "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
    # What the image does without is not what the package under test does without.
    rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
    for unit in "${mask[@]}"; do ln -sf /dev/null "$units/$unit.service"; done
    for unit in "${mask_whole[@]}"; do ln -sf /dev/null "$units/$unit"; done
    ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
    install -m 755 "$system_dir/guest/init" "$root/usr/local/sbin/hanja-test-init"
    install -m 644 "$system_dir/guest/hanja-test.service" "$units/"
    mkdir -p "$units/multi-user.target.wants"
    ln -s ../hanja-test.service "$units/multi-user.target.wants/"
}

# User-mode Linux boots from a block device.
ext4() {
    local dir=$1 size
    [ -e "$dir/root.ext4" ] && return
    need e2fsprogs
    size=$(($(du -sm "$dir/root" | cut -f1) + 400))
    truncate -s "${size}M" "$dir/ext4.new"
    mkfs.ext4 -q -F -m0 -O ^has_journal -d "$dir/root" "$dir/ext4.new"
    mv "$dir/ext4.new" "$dir/root.ext4"
}

dir=$cache/image-$(key "$system_dir/image.sh" "$system_dir"/guest/{init,hanja-test.service} <(codename))
[ -d "$dir" ] || build "$dir" >&2
[ "${1:-}" != --ext4 ] || ext4 "$dir" >&2
echo "$dir"
