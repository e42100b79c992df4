#!/usr/bin/env bash
# Boots Debian's kernel in an emulator, as a machine of four CPUs on two nodes and a third node of memory
# alone, and runs the checks of guest.rs there. Prints a line for each check; the exit code tells.
#
# Needs cargo and Debian's package archive; needs root only to install what is missing. Takes minutes, as
# every instruction is emulated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive
fail() {
    printf 'failed: %s\n' "$1" >&2
    exit 1
}

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v busybox >/dev/null || missing+=(busybox-static)
command -v cpio >/dev/null || missing+=(cpio)
if ((${#missing[@]})); then
    sudo=$([[ $(id -u) == 0 ]] || echo sudo)
    { $sudo apt-get update && $sudo apt-get install --yes --no-install-recommends "${missing[@]}"; } \
        >"$work/apt.log" 2>&1 || { tail "$work/apt.log" && fail "cannot install ${missing[*]}"; }
fi

# The kernel for virtual machines, unpacked but not installed.
# The first is Debian's, the second Ubuntu's.
kernel=$(apt-cache depends linux-image-cloud-amd64 linux-image-virtual 2>/dev/null |
    awk '/Depends:/ && /linux-image/ {print $2; exit}') || true
[[ -n $kernel ]] || fail 'the package archive has no linux-image-cloud-amd64'
(cd "$work" && apt-get download "$kernel" >/dev/null 2>&1 && dpkg-deb -x "$kernel"_*.deb kernel)
image=$(echo "$work"/kernel/boot/vmlinuz-*)

cargo build --locked --release --test numa_guest
guest=$(cargo build --locked --release --test numa_guest --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*numa_guest[^"]*\)".*/\1/p' | tail -1)

# The first program, the checks, and the libraries that they are linked with.
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp}
cp "$guest" "$root/guest"
cp "$(command -v busybox)" "$root/bin/busybox"
for library in $(ldd "$guest" | grep -o '/[^ ]*'); do
    install -D "$library" "$root$library"
done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t cgroup2 cgroup /sys/fs/cgroup
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
echo
/guest
echo "exit code $?"
/bin/busybox poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"

memory=()
for node in 0 1 2; do
    memory+=(-object "memory-backend-ram,id=memory$node,size=512M")
done
timeout 900 qemu-system-x86_64 -accel tcg -cpu max -smp 4,sockets=2,cores=2 -m 1536M "${memory[@]}" \
    -numa node,nodeid=0,cpus=0-1,memdev=memory0 -numa node,nodeid=1,cpus=2-3,memdev=memory1 \
    -numa node,nodeid=2,memdev=memory2 \
    -numa dist,src=0,dst=1,val=21 -numa dist,src=0,dst=2,val=14 -numa dist,src=1,dst=2,val=24 \
    -kernel "$image" -initrd "$work/initramfs" \
    -append 'console=ttyS0 quiet panic=-1 numa_balancing=disable' \
    -nographic -no-reboot -nic none </dev/null | tr -d '\r' | tee "$work/console" |
    grep --line-buffered -aE '^(ok|FAILED|exit code|[0-9]+ of )|panic' || true
grep -aq '^exit code 0$' "$work/console" || { tail -20 "$work/console" && fail 'not every check holds'; }
printf 'all checks hold, after %d s\n' "$SECONDS"
