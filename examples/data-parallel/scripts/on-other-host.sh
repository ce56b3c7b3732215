#!/bin/sh
# What mpirun calls in place of ssh: `on-other-host.sh ADDRESS COMMAND…` runs the command where the process OTHER_HOST is.
shift
exec nsenter --target "$OTHER_HOST" --net --uts sh -c "$*"
