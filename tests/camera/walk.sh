# Runs in the virtual machine: siaran with two real cameras and a sound card, from the list to the recording, one camera pulled and
# plugged back in mid-broadcast. Usage: run walk.sh SIARAN. Nothing here is timed: all waits are for events, generously bounded.
set -euo pipefail
siaran=$1
. "$(dirname "$0")/cameras.sh"
. "$(dirname "$0")/siaran.sh"

# What the microphone hears: a tone at half of full scale.
gst-launch-1.0 -q audiotestsrc volume=0.5 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! alsasink device=hw:Loopback,1 > "$OUT/tone.log" 2>&1 &
tone=$!

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
refused=$(api POST /broadcasts "{\"title\":\"Unheard\",\"source\":\"$camera\",\"microphone\":\"mic-none\"}" 2> /dev/null || true)
[ "$(jq -r '.code + " " + .field' <<< "$refused")" = 'no_such_microphone microphone' ] || fail "a microphone that is not there is refused: $refused"
ok 'a microphone that is not there is refused'
id=$(api POST /broadcasts "{\"title\":\"From a camera\",\"source\":\"$camera\"}" | jq -r .id)
await 120 'it is live' state_is live
await 120 'it has segments' has_segments 3
await 60 'all is well' health_is ok
before=$(camera_file 1)
unplug 1
await 60 'the camera is gone' sees_cameras 1
await 60 'the studio is told' health_is video_lost
await 120 'the broadcast goes on without it' has_segments $(($(segments) + 4))
# The other one takes its number before it is back.
unplug 2
plug 2
plug 1
await 60 'the camera is back' sees_cameras 2
[ "$(camera_file 1)" != "$before" ] || fail 'under another number'
ok 'under another number'
await 60 'all is well again' health_is ok
is_open 1 && ! is_open 2 || fail 'by the one that was chosen'
ok 'by the one that was chosen'
api GET /sources | jq -e "any(.items[]; .id == \"$camera\")" > /dev/null || fail 'it is the same camera'
ok 'it is the same camera'
await 120 'the broadcast goes on with it' has_segments $(($(segments) + 4))
state_is live > /dev/null || fail 'it is still live'

# --- the recording --------------------------------------------------------------------------------
end_broadcast "$OUT/recording.mp4"
kill "$tone"
# The mean colour of each picture, red, green and blue. The slate is 16, 51 and 58.
ffmpeg -v error -i "$OUT/recording.mp4" -vf scale=1:1:flags=area -fps_mode passthrough -pix_fmt rgb24 -f rawvideo - \
    | od -An -v -tu1 -w3 | awk '{ print ($1 < 36 && $2 > 31 && $2 < 71 && $3 > 38 && $3 < 78) ? "slate" : "camera" }' > "$OUT/pictures"
[ "$(uniq "$OUT/pictures" | tr '\n' ' ')" = 'camera slate camera ' ] || fail "camera, slate, camera: $(uniq -c "$OUT/pictures" | tr '\n' ' ')"
ok 'it shows the camera, the slate, and the camera again'
loudness=$(ffmpeg -v info -i "$OUT/recording.mp4" -map 0:a -af volumedetect -f null - 2>&1 | sed -n 's/.*mean_volume: \(.*\) dB/\1/p')
awk "BEGIN { exit !($loudness > -30) }" || fail "what the microphone hears is on it: $loudness dB"
ok "what the microphone hears is on it, $loudness dB"
stop_serving
