#!/bin/sh
# Make sure that the few system packages the toolkit needs are there: install them when root on Debian or Ubuntu, else name them.
#   libegl1, libgl1-mesa-dri   draw a scene without a display (VTK opens them at run time; it links no system library)
#   fonts-wqy-microhei         Chinese text in a picture
#   libexpat1                  rasterio links it
#   openscenegraph             osgconv, which opens OSGB tiles
# SYSTEM_PACKAGES=skip leaves this check out: everything but pictures and OSGB tiles works without these.
set -eu

wanted="libegl1 libgl1-mesa-dri libexpat1 fonts-wqy-microhei openscenegraph"

[ "${SYSTEM_PACKAGES:-}" = skip ] && exit 0

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "note: not a Debian system; pictures need EGL with a software renderer and a Chinese font (on Debian: $wanted)"
    exit 0
fi

missing=""
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "error: these system packages are missing:$missing" >&2
    echo "       run: sudo apt-get install --no-install-recommends$missing" >&2
    echo "       or go on without them (no pictures): SYSTEM_PACKAGES=skip make ..." >&2
    exit 1
fi

echo "installing system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # one word per package is meant
if ! said=$(apt-get update -qq 2>&1 && apt-get install -y -qq --no-install-recommends $missing 2>&1); then
    echo "$said" >&2
    echo "error: apt-get could not install$missing; go on without pictures: SYSTEM_PACKAGES=skip make ..." >&2
    exit 1
fi
