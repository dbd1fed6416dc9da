#!/usr/bin/env bash
# Remove the files that 'make install' puts below PREFIX (and DESTDIR), and folders left empty.
set -euo pipefail
prefix=$1
destdir=$2
rm -f "$destdir$prefix/bin/trawl"
find "$destdir$prefix/lib" -name trawl.pc -path "*/pkgconfig/*" -delete 2>/dev/null || true
rm -rf "$destdir$prefix/include/trawl" "$destdir$prefix/share/doc/trawl"
