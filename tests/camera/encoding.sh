# Runs in the virtual machine: siaran with a camera that gives H.264 itself and one that gives MJPEG, both fed by programs here, and
# with a sound card whose clock is off. Usage: run encoding.sh SIARAN [SECONDS]: so long, on a machine that does nothing else, is
# watched whether lips stay in step. What is timed here is the media's own time, or what siaran itself says: an emulated
# processor takes its time to ask.
set -euo pipefail
siaran=$1
watched=${2:-0}
. "$(dirname "$0")/siaran.sh"

# --- feeding --------------------------------------------------------------------------------------
# A white flash of 0.4 s and a beep at once, each two seconds.
# make_film FILE SECONDS KEYFRAMES: a keyframe each so many frames.
make_film() {
    ffmpeg -y -v error -f lavfi -i "color=black:size=320x180:rate=15,drawbox=t=fill:color=white:enable='lt(mod(t,2),0.4)'" \
        -f lavfi -i "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,2),0.4)':sample_rate=48000" \
        -t "$2" -pix_fmt yuv420p -c:v libx264 -preset ultrafast -tune zerolatency -sc_threshold 0 -g "$3" -c:a aac "$1"
}

# feed_h264 FILM: the picture to the first camera, the sound to the card, in step by the card's clock.
# The driver takes one colorimetry only, whatever the picture says of itself.
feed_h264() {
    gst-launch-1.0 -q filesrc location="$1" ! qtdemux name=film \
        film.video_0 ! queue ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au \
        ! capssetter caps='video/x-h264,colorimetry=(string)2:4:7:1' ! v4l2sink device=/dev/video20 \
        film.audio_0 ! queue ! avdec_aac ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=2 \
        ! alsasink device=hw:Loopback,1 > "$OUT/feeder.log" 2>&1 &
    feeder=$!
}
feed_mjpeg() {
    ffmpeg -v error -re -f lavfi -i testsrc2=size=320x180:rate=15 -c:v mjpeg -pix_fmt yuvj420p -f v4l2 /dev/video21 > "$OUT/mjpeg.log" 2>&1 &
}
starve() {
    kill -KILL "$feeder"
    wait "$feeder" || true
}

card_rate() { # in 1/100000 of what it says
    amixer -q -c Loopback cset numid=1 "$1"
    amixer -q -c Loopback cset numid=7 "$1"
}

# offsets FILE: for each flash the time of the beep less that of the flash, in milliseconds.
offsets() {
    ffmpeg -v info -i "$1" -vf blackdetect=d=0.5:pix_th=0.4 -af silencedetect=noise=-20dB:d=0.5 -f null - 2>&1 \
        | sed -n -e 's/.*black_end:\([0-9.]*\).*/flash \1/p' -e 's/.*silence_end: \([0-9.]*\).*/beep \1/p' \
        | sort -k 2 -g \
        | awk '$1 == "flash" { flash[++f] = $2 } $1 == "beep" { beep[++b] = $2 }
            END { for (i = 1; i <= f; i++) for (j = 1; j <= b; j++) { off = (beep[j] - flash[i]) * 1000
                if (off < 500 && off > -500) printf "%.1f %.0f\n", flash[i], off } }'
}

camera_named() { api GET /sources | jq -r "first(.items[] | select(.kind == \"camera\" and (.label | test(\"$1\")))) | $2"; }
is_marked() { [ "$(camera_named "$1" .needs_no_encoding)" = "$2" ]; }
breaks() { playlist | grep -c '^#EXT-X-DISCONTINUITY$' || true; }
has_breaks() { [ "$(breaks)" -ge "$1" ]; }
said() { grep -q "$1" "$OUT/siaran.log"; }

# Seconds of the log's lines that have the pattern.
times_of() {
    local at rest
    grep -E "$1" "$OUT/siaran.log" | while read -r at rest; do date -u -d "$at" +%s.%N; done
}

# holes PLAYLIST: for each break the seconds between the end of the media before it and the beginning of that behind it.
holes() {
    local line at=0 broken=
    while read -r line; do
        case $line in
            '#EXT-X-DISCONTINUITY') broken=yes ;;
            '#EXT-X-PROGRAM-DATE-TIME:'*)
                line=$(date -u -d "${line#*:}" +%s.%N)
                [ -z "$broken" ] || awk "BEGIN { print $line - $at }"
                at=$line broken=
                ;;
            '#EXTINF:'*) line=${line#*:} at=$(awk "BEGIN { printf \"%.6f\", $at + ${line%%,*} }") ;;
        esac
    done < "$1"
}

make_film "$OUT/film.mp4" $((watched + 120)) 15
make_film "$OUT/rare.mp4" 60 75
card_rate 100300
feed_h264 "$OUT/film.mp4"
feed_mjpeg
sleep 3
serve --video-height 240 --frame-rate 15 --video-kbps 300

# --- the cameras ----------------------------------------------------------------------------------
await 120 'the fed cameras are offered' is_marked Encoding true
is_marked Plain false || fail 'only the one that gives H.264 needs no encoding'
ok 'only the one that gives H.264 needs no encoding'
camera_named Encoding '.formats[].encoding' | grep -q h264 || fail 'it tells its formats'
camera_named Plain '.formats[].encoding' | grep -q mjpeg || fail 'the other tells its formats'
ok 'both tell their formats'
camera=$(camera_named Encoding .id)
await 120 'it is previewed' has_preview
await 60 'its level is measured' has_level
said 'H.264 is passed through' || fail 'it is passed through'
! said 'encoded anew' || fail 'it is passed through'
ok 'it is passed through'

# --- a broadcast ----------------------------------------------------------------------------------
id=$(api POST /broadcasts "{\"title\":\"From a camera that encodes\",\"source\":\"$camera\"}" | jq -r .id)
await 120 'it is live' state_is live
await 120 'it has segments' has_segments 3
await 60 'it has a thumbnail' has_thumbnail
sleep "$watched"
before=$(breaks) # a busy host makes some
starve
await 60 'the slate is listed' has_breaks $((before + 1))
await 120 'the broadcast goes on without it' has_segments $(($(segments) + 1))
feed_h264 "$OUT/film.mp4"
await 120 'its picture is listed' has_breaks $((before + 2))
await 120 'the broadcast goes on with it' has_segments $(($(segments) + 2))
state_is live > /dev/null || fail 'it is still live'
opened=$(times_of 'opening the camera' | tail -n 1)
shown=$(times_of 'state=Running' | tail -n 1)
awk "BEGIN { exit !($shown - $opened < 2) }" || fail "it is back $(awk "BEGIN { print $shown - $opened }") s after it was opened"
ok "it is back $(awk "BEGIN { printf \"%.2f\", $shown - $opened }") s after it was opened"
end_broadcast "$OUT/encoding.mp4"
holes=$(holes "$OUT/playlist.m3u8")
# Others are the emulated machine's own: a worker that it is too slow for is started anew.
lost=$(sed -n "$((before + 1))p" <<< "$holes")
awk "BEGIN { exit !(${lost:-9} < 1) }" || fail "the slate begins within a second of the last picture: $holes"
ok "the slate begins $lost s after the last picture"

if [ "$watched" -gt 0 ]; then
    offsets "$OUT/encoding.mp4" > "$OUT/offsets"
    # One in five may be off: an emulated machine on a busy host stumbles.
    awk '$2 > 40 || $2 < -40 { bad++ } END { exit !(NR > 5 && bad * 5 <= NR) }' "$OUT/offsets" \
        || fail "sound and picture stay in step: $(tr '\n' ';' < "$OUT/offsets")"
    ok "sound and picture stay in step: $(tr '\n' ';' < "$OUT/offsets")"
fi

# --- a camera whose pictures must be encoded ------------------------------------------------------
starve
id=$(api POST /broadcasts "{\"title\":\"From a plain camera\",\"source\":\"$(camera_named Plain .id)\"}" | jq -r .id)
await 120 'the plain camera is live' state_is live
await 120 'it has segments' has_segments 3
await 60 'it has a thumbnail' has_thumbnail
end_broadcast "$OUT/plain.mp4"

# --- a camera whose H.264 cannot be passed on -----------------------------------------------------
feed_h264 "$OUT/rare.mp4"
id=$(api POST /broadcasts "{\"title\":\"With rare keyframes\",\"source\":\"$camera\"}" | jq -r .id)
await 60 'that its keyframes are rare is noticed' said 'encoded anew: its keyframes lie more than 2.4 seconds apart'
await 120 'the broadcast goes on with its picture encoded here' has_segments $(($(segments) + 2))
end_broadcast "$OUT/rare-recording.mp4"
stop_serving
"$siaran" check --data "$data" > "$OUT/check" || true
grep -q 'keyframes lie more than 2.4 seconds apart' "$OUT/check" || fail "siaran check tells: $(cat "$OUT/check")"
ok 'siaran check tells why it needs encoding'
