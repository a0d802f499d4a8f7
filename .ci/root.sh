# Roots of other Debian suites, for scripts that source this: root_make SUITE FOLDER PACKAGES, root_free FOLDER.
# How the machine reaches its package mirrors (apt's configuration, CA certificates, pip's, proxies) is copied
# into the root, so that it works where the machine itself does. Needs root.

root_make() {
    [ "$(id -u)" = 0 ] || { echo "root: needs root" >&2; return 1; }
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap
    here=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $here" \
        'Component: main' | head -n 1)
    chmod 755 "$2"
    debootstrap --variant=minbase --include="$3" --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$1" "$2" "$mirror" >"$2.log" 2>&1 || { tail -n 20 "$2.log"; return 1; }
    rm -f "$2.log"
    for path in etc/apt/apt.conf.d etc/apt/auth.conf.d etc/apt/sources.list.d etc/apt/trusted.gpg.d \
        etc/ssl/certs usr/local/share/ca-certificates etc/pip.conf etc/resolv.conf etc/hosts; do
        [ -e "/$path" ] || continue
        mkdir -p "$2/${path%/*}"
        cp -rLT "/$path" "$2/$path" 2>/dev/null || true
    done
    rm -f "$2"/etc/apt/apt.conf.d/docker-* "$2"/etc/apt/sources.list.d/*.disabled*
    : >"$2/etc/apt/sources.list"
    sed -i "s/$here/$1/g" "$2"/etc/apt/sources.list.d/* 2>/dev/null || true
    [ ! -s /etc/apt/sources.list ] || sed "s/$here/$1/g" /etc/apt/sources.list >"$2/etc/apt/sources.list"
    mount -t proc proc "$2/proc"
    mount --rbind /dev "$2/dev"
    mount --make-rslave "$2/dev"
}

root_free() {
    umount -R -l "$1/dev" 2>/dev/null || true
    umount -l "$1/proc" 2>/dev/null || true
    if [ -n "${KEEP:-}" ]; then
        echo "root: kept $1"
    else
        rm -rf --one-file-system "$1"
    fi
}
