# For scripts that run in the virtual machine: siaran served from a directory of its own, asked and waited for. $siaran is its
# executable.

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
    curl --silent --show-error --fail-with-body --max-time 60 --request "$1" "$http/api/v1$2" \
        ${token:+--header "Authorization: Bearer $token"} ${3:+--header 'Content-Type: application/json' --data "$3"}
}

sees_cameras() { api GET /sources | jq -e "[.items[] | select(.kind == \"camera\" and .ready)] | length == $1"; }
studio() { curl --silent --show-error --fail --max-time 60 --header "Authorization: Bearer $token" "$http/studio/$1"; }
has_preview() { studio "preview/$camera/main.m3u8" | grep -q '^#EXT-X-STREAM-INF'; }
has_thumbnail() { [ "$(curl -sSf "$http/media/$id/thumbnail.jpg" | head -c 2 | od -An -tx1 | tr -d ' ')" = ffd8 ]; }
has_level() { { studio "events?source=$camera" || true; } | grep -q -m 1 '^event: *level'; }
health_is() { api GET "/broadcasts/$id" | jq -e ".health == \"$1\""; }
state_is() { api GET "/broadcasts/$id" | jq -e ".state == \"$1\""; }

# The first media playlist that the multivariant one names, in full.
playlist() {
    local main=$http/media/$id/main.m3u8 first
    first=$(curl -sSf "$main" | sed -n -e '/^[^#]/{p;q}' -e 's/^#EXT-X-MEDIA:.*URI="\([^"]*\)".*/\1/p' | tail -n 1)
    curl -sSf "$http/media/$id/$first"
}
segments() { playlist | grep -c '^#EXTINF'; }
has_segments() { [ "$(segments)" -ge "$1" ]; }

# serve FLAG...: starts it with one account, signs in; $server is its process. One rendition: an emulated processor has enough to
# do with that.
serve() {
    printf 'a nurse with two cameras' | "$siaran" account add nurse --role admin --password-stdin --data "$data" || fail "an account"
    "$siaran" serve --data "$data" --http 127.0.0.1:0 --https off --rtmp off --ladder off --log info,siaran::web::envelope=warn "$@" \
        > "$OUT/ready" 2> "$OUT/siaran.log" &
    server=$!
    await 120 'it serves' grep -q '^ready ' "$OUT/ready"
    http=$(sed -n 's/^ready .*http=\(http:[^ ]*\).*/\1/p' "$OUT/ready")
    token=$(api POST /session '{"username":"nurse","password":"a nurse with two cameras"}' | jq -r .token)
}

# end_broadcast FILE: ends $id; its recording comes as one file, which decodes and lasts as long as is listed.
end_broadcast() {
    local file=$1 listed errors duration
    api POST "/broadcasts/$id/end" > /dev/null || fail 'it ends'
    await 60 'it has ended' state_is ended
    playlist > "$OUT/playlist.m3u8"
    grep -q '^#EXT-X-ENDLIST' "$OUT/playlist.m3u8" || fail 'the playlist is complete'
    listed=$(sed -n 's/^#EXTINF:\([0-9.]*\),.*/\1/p' "$OUT/playlist.m3u8" | awk '{ sum += $1 } END { print sum }')
    curl -sSf -o "$file" "$http/media/$id/download.mp4" || fail 'the recording comes as one file'
    errors=$(ffmpeg -v error -xerror -i "$file" -fps_mode passthrough -enc_time_base -1 -f null - 2>&1) || fail "the recording plays: $errors"
    [ -z "$errors" ] || fail "the recording plays: $errors"
    ok 'the recording plays from end to end'
    duration=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$file")
    # Breaks leave holes that are not listed: up to a second where a picture was lost and where it came back.
    awk "BEGIN { exit !($duration > $listed - 1.5 && $duration < $listed + 3.5) }" || fail "it lasts $duration s, listed are $listed s"
    ok "it lasts as long as its playlist, $duration s"
}

stop_serving() {
    kill -TERM "$server"
    wait "$server" || fail 'it stops in order'
    ok 'it stops in order'
}
