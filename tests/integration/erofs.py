"""For tests that look into layers which are EROFS files."""
import os
import pathlib
import stat
import subprocess

SETTINGS = pathlib.Path("/etc/ctrd/images.toml")


def store_layers_as(form):
    """None: as without any setting."""
    SETTINGS.parent.mkdir(exist_ok=True)
    SETTINGS.unlink(missing_ok=True)
    if form:
        SETTINGS.write_text(f'layers = "{form}"\n')


def make_loop_devices():
    """A test bed has none of its own."""
    for name, kind, major, minor in [("loop-control", stat.S_IFCHR, 10, 237),
                                     *((f"loop{i}", stat.S_IFBLK, 7, i) for i in range(64))]:
        if not os.path.exists("/dev/" + name):
            os.mknod("/dev/" + name, kind | 0o600, os.makedev(major, minor))


def mount_erofs(file, place):
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", str(file), str(place)], check=True)
    return place
