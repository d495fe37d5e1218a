# Runs in the virtual machine: siaran with two real cameras and a sound card, from the list to the recording, one camera pulled and
# plugged back in mid-broadcast. Usage: run walk.sh SIARAN. Nothing here is timed: all waits are for events, generously bounded.
set -euo pipefail
siaran=$1
. "$(dirname "$0")/cameras.sh"
. "$(dirname "$0")/siaran.sh"

# A tenth of the usual speed: a small picture.
serve --video-height 360 --frame-rate 10 --video-kbps 500

# --- the cameras ----------------------------------------------------------------------------------
await 120 'both cameras are offered' sees_cameras 2
unplug 2
await 60 'one is gone when it is unplugged' sees_cameras 1
camera=$(api GET /sources | jq -r 'first(.items[] | select(.kind == "camera") | .id)')
plug 2
await 60 'it is back when it is plugged in' sees_cameras 2

api GET /sources | jq -e 'all(.items[] | select(.kind == "camera"); (.formats | length) > 0)' > /dev/null || fail 'they tell their formats'
ok 'they tell their formats'
await 120 'it is previewed' has_preview
await 60 'its level is measured' has_level

# --- a broadcast ----------------------------------------------------------------------------------
id=$(api POST /broadcasts "{\"title\":\"From a camera\",\"source\":\"$camera\"}" | jq -r .id)
await 120 'it is live' state_is live
await 120 'it has segments' has_segments 3
unplug 1
await 60 'the camera is gone' sees_cameras 1
await 120 'the broadcast goes on without it' has_segments $(($(segments) + 4))
plug 1
await 60 'the camera is back' sees_cameras 2
api GET /sources | jq -e "any(.items[]; .id == \"$camera\")" > /dev/null || fail 'it is the same camera'
ok 'it is the same camera'
await 120 'the broadcast goes on with it' has_segments $(($(segments) + 4))
state_is live > /dev/null || fail 'it is still live'

# --- the recording --------------------------------------------------------------------------------
end_broadcast "$OUT/recording.mp4"
stop_serving
