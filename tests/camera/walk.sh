# Runs in the virtual machine: siaran with two real cameras and a sound card, from the list to the recording, one camera pulled and
# plugged back in mid-broadcast. Usage: run walk.sh SIARAN. Nothing here is timed: all waits are for events, generously bounded.
set -euo pipefail
siaran=$1
. "$(dirname "$0")/cameras.sh"

data=$(mktemp -d)
http=
steps=0

ok() { steps=$((steps + 1)); echo "ok $steps - $1"; }
fail() {
    echo "not ok $((steps + 1)) - $1"
    echo "--- what siaran said last" && tail -n 60 "$OUT/siaran.log"
    exit 1
}

# await SECONDS WHAT COMMAND...: until the command succeeds
await() {
    local seconds=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what: not within $seconds s"
        sleep 1
    done
    ok "$what"
}

# api METHOD PATH [JSON]
api() {
    curl --silent --show-error --fail --max-time 60 --request "$1" "$http/api/v1$2" \
        ${token:+--header "Authorization: Bearer $token"} ${3:+--header 'Content-Type: application/json' --data "$3"}
}

sees_cameras() { api GET /sources | jq -e "[.items[] | select(.kind == \"camera\" and .ready)] | length == $1"; }
studio() { curl --silent --show-error --fail --max-time 60 --header "Authorization: Bearer $token" "$http/studio/$1"; }
has_preview() { studio "preview/$camera/main.m3u8" | grep -q '^#EXT-X-STREAM-INF'; }
has_level() { { studio "events?source=$camera" || true; } | grep -q -m 1 '^event: *level'; }
state_is() { api GET "/broadcasts/$id" | jq -e ".state == \"$1\""; }

# The first media playlist that the multivariant one names, in full.
playlist() {
    local main=$http/media/$id/main.m3u8 first
    first=$(curl -sSf "$main" | sed -n -e '/^[^#]/{p;q}' -e 's/^#EXT-X-MEDIA:.*URI="\([^"]*\)".*/\1/p' | tail -n 1)
    curl -sSf "$http/media/$id/$first"
}
segments() { playlist | grep -c '^#EXTINF'; }
has_segments() { [ "$(segments)" -ge "$1" ]; }

# --- start ---------------------------------------------------------------------------------------
printf 'a nurse with two cameras' | "$siaran" account add nurse --role admin --password-stdin --data "$data" || fail "an account"
# A tenth of the usual speed: a small picture.
"$siaran" serve --data "$data" --http 127.0.0.1:0 --https off --rtmp off --video-height 360 --frame-rate 10 --video-kbps 500 \
    --log info,siaran::web::envelope=warn > "$OUT/ready" 2> "$OUT/siaran.log" &
server=$!
await 120 'it serves' grep -q '^ready ' "$OUT/ready"
http=$(sed -n 's/^ready .*http=\(http:[^ ]*\).*/\1/p' "$OUT/ready")
token=$(api POST /session '{"username":"nurse","password":"a nurse with two cameras"}' | jq -r .token)

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
api POST "/broadcasts/$id/end" > /dev/null || fail 'it ends'
await 60 'it has ended' state_is ended
playlist > "$OUT/playlist.m3u8"
grep -q '^#EXT-X-ENDLIST' "$OUT/playlist.m3u8" || fail 'the playlist is complete'
listed=$(sed -n 's/^#EXTINF:\([0-9.]*\),.*/\1/p' "$OUT/playlist.m3u8" | awk '{ sum += $1 } END { print sum }')
curl -sSf -o "$OUT/recording.mp4" "$http/media/$id/download.mp4" || fail 'the recording comes as one file'
errors=$(ffmpeg -v error -xerror -i "$OUT/recording.mp4" -f null - 2>&1) || fail "the recording plays: $errors"
[ -z "$errors" ] || fail "the recording plays: $errors"
ok 'the recording plays from end to end'
duration=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$OUT/recording.mp4")
awk "BEGIN { exit !($duration > $listed - 1.5 && $duration < $listed + 1.5) }" || fail "it lasts $duration s, listed are $listed s"
ok "it lasts as long as its playlist, $duration s"

kill -TERM "$server"
wait "$server" || fail 'it stops in order'
ok 'it stops in order'
