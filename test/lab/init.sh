#!/bin/sh
# The first process of the lab's machine: file systems, the NICs to `lab_driver` (a word of the
# kernel's command line), hugepages, then Node.
export PATH=/bin:/usr/bin LD_LIBRARY_PATH=/usr/lib HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
echo 'lab: booted'
mkdir -p /dev/hugepages /dev/shm
mount -t tmpfs shm /dev/shm
mount -t hugetlbfs -o pagesize=2M none /dev/hugepages
for module in $(cat /modules/order); do
  [ -f "/modules/$module.ko" ] && { insmod "/modules/$module.ko" || echo "lab: no $module"; }
done
echo 192 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
ports=
for device in /sys/bus/pci/devices/*; do
  case $(cat "$device/class") in 0x0200*)
    name=$(basename "$device")
    echo "$lab_driver" > "$device/driver_override"
    echo "$name" > /sys/bus/pci/drivers_probe
    echo "lab: nic $name $(cat "$device/vendor") $(cat "$device/device") driver" \
      "$(basename "$(readlink "$device/driver")") group $(basename "$(readlink "$device/iommu_group" || echo none)")"
    ports="$ports $name" ;;
  esac
done
node /lab/guest.js $ports
echo "lab: guest ended with $?"
dmesg | grep -iE 'DMAR.*fault|oops|BUG:' | grep -v 'fault reporting'
poweroff -f
