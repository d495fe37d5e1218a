# For scripts that run in the virtual machine: plugs and unplugs its cameras, 1 and 2.

camera_driver() { [ "$1" = 1 ] && echo vivid || echo vivi2; }

# The device file of camera $1; fails while it is unplugged. It may be another one after each plugging in.
camera_file() {
    local name
    for name in "/sys/devices/platform/$(camera_driver "$1").0/video4linux/"video*; do
        [ -e "$name" ] && echo "/dev/$(basename "$name")" && return
    done
    return 1
}

# Both return when udev has told everyone.
unplug() { echo "$(camera_driver "$1").0" > "/sys/bus/platform/drivers/$(camera_driver "$1")/unbind" && udevadm settle; }
plug() { echo "$(camera_driver "$1").0" > "/sys/bus/platform/drivers/$(camera_driver "$1")/bind" && udevadm settle; }

# Whether some program has camera $1 open. A program that ends meanwhile makes ls fail, and all of its output is read: pipefail.
is_open() { { ls -l /proc/[0-9]*/fd 2> /dev/null || true; } | grep " $(camera_file "$1")\$" > /dev/null; }
