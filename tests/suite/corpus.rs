//! Odd files of many kinds, made here: each is played as it should look and sound, or refused with the reason.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::imports::{ffmpeg, folder, hand_in, outcome, play, seconds};
use crate::power::fsck;
use crate::server::{SMALL, Server, until};
use crate::tools;

/// What becomes of a file.
#[derive(Clone, Copy)]
enum Fate {
    /// Width, height, seconds, whether there is sound; looks as the file does.
    Played(u64, u64, f64, bool),
    /// What is left of it is played: at least and at most so many seconds.
    Rest(f64, f64),
    Refused(&'static str),
}
use Fate::{Played, Refused, Rest};

/// Within this is a length right, seconds.
const ROUNDING: f64 = 0.15;
/// Mean difference of small pictures that look alike, of 255.
const ALIKE: f64 = 12.0;
/// The same where brightness is drawn together; 60 and more where that is left out.
const MAPPED: f64 = 40.0;

/// `{P}`, `{S}`: moving picture and tone of four seconds. `{H}`, `{A}`: plain H.264 and AAC.
fn expand(arguments: &str, folder: &Path) -> String {
    arguments
        .replace("{P}", "-f lavfi -i testsrc2=size=320x180:rate=25:duration=4")
        .replace("{S}", "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=4")
        .replace("{H}", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -bf 0")
        .replace("{A}", "-c:a aac")
        .replace("{265}", "-c:v libx265 -preset ultrafast -x265-params log-level=none")
        .replace("{DIR}", tools::as_text(folder))
}

/// The picture at `at` seconds, as 16x9 pixels of three bytes.
pub fn look(input: &str, at: f64) -> Vec<u8> {
    let filter = format!("select='gte(t,{at})',scale=16:9:flags=area+accurate_rnd+full_chroma_int,format=rgb24");
    let output = Command::new("ffmpeg")
        .args(["-v", "fatal", "-i", input, "-vf", &filter, "-frames:v", "1", "-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert_eq!(output.stdout.len(), 16 * 9 * 3, "{input} at {at}");
    output.stdout
}

pub fn difference(one: &[u8], other: &[u8]) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / one.len() as f64
}

/// Hands all in at once, and looks at what comes of each; `like` is what a film should look like, where it is not itself.
fn check(server: &Server, made: &Path, kinds: &[(&str, Fate)], like: impl Fn(&str) -> Option<&'static str>) {
    let path = |name: &str| made.join(name);
    for (name, _) in kinds {
        hand_in(server, &path(name));
    }
    for (name, fate) in kinds {
        let found = outcome(server, name);
        let reason = found["reason"].as_str().unwrap_or_default();
        let Some(id) = found["broadcast_id"].as_str() else {
            let Refused(code) = fate else { panic!("{name} was not read in: {found}") };
            assert_eq!((&found["state"], reason), (&json!("refused"), *code), "{name}");
            until("it to be put away", || folder(server, "refused").join(name).exists().then_some(()));
            continue;
        };
        assert_eq!(found["state"], "done", "{name}: {found}");
        let download = play(server, id, name);
        let lasts = seconds(server, id);
        match fate {
            Refused(code) => panic!("{name} is played and not refused as {code}"),
            Rest(least, most) => assert!((*least..=*most).contains(&lasts), "{name}: {lasts} s"),
            Played(width, height, expected, sound) => {
                assert_eq!(reason, "", "{name}");
                assert!((lasts - expected).abs() < ROUNDING, "{name}: {lasts} of {expected} s");
                let rendition = &server.broadcast(id)["renditions"][0];
                let size = (rendition["width"].as_u64(), rendition["height"].as_u64());
                assert_eq!(size, (Some(*width), Some(*height)), "{name}");
                assert_eq!(rendition["codecs"].as_str().expect("codecs").contains("mp4a.40.2"), *sound, "{name}");
                let source = path(like(name).unwrap_or(name));
                let has_picture = tools::codecs(tools::as_text(&source)).len() > usize::from(*sound);
                for at in [0.25, 0.75].iter().map(|share| share * expected).filter(|_| has_picture) {
                    let off = difference(&look(tools::as_text(&source), at), &look(&download, at));
                    let most = if like(name).is_some() { MAPPED } else { ALIKE };
                    assert!(off < most, "{name} at {at} s looks other than it should, by {off}");
                }
            }
        }
    }
    let health: Value = server.stranger().get("/healthz").json();
    assert_eq!(health["status"], "ok");
    assert_eq!(fs::read_dir(folder(server, "working")).expect("a folder").count(), 0);
    fsck(server.data.path());
}

/// Makes what ffmpeg makes, and hands it in with the rest.
fn make_and_check(kinds: &[(&'static str, &str, Fate)], like: impl Fn(&str) -> Option<&'static str>) {
    let server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    for (name, arguments, _) in kinds {
        ffmpeg(&expand(arguments, made.path()), &made.path().join(name));
    }
    let kinds: Vec<(&str, Fate)> = kinds.iter().map(|(name, _, fate)| (*name, *fate)).collect();
    check(&server, made.path(), &kinds, like);
}

const PLAIN: Fate = Played(320, 180, 4.0, true);

#[test]
fn pictures_of_all_kinds_are_played_as_they_look() {
    let pq = "-vf zscale=pin=bt709:tin=bt709:min=bt709:p=bt2020:t=smpte2084:m=bt2020nc:npl=203,format=yuv420p10le {265}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -tag:v hvc1";
    let hlg = "-vf zscale=pin=bt709:tin=bt709:min=bt709:p=bt2020:t=arib-std-b67:m=bt2020nc:npl=203,format=yuv420p10le {265}:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc -tag:v hvc1";
    let kinds: Vec<(&str, String, Fate)> = [
        ("plain.mp4", "{P} {S} {H} {A}", PLAIN),
        ("right.mp4", "-i {DIR}/plain.mp4 -c copy -metadata:s:v:0 rotate=90", Played(180, 320, 4.0, true)),
        ("turned over.mp4", "-i {DIR}/plain.mp4 -c copy -metadata:s:v:0 rotate=180", PLAIN),
        ("left.mov", "-i {DIR}/plain.mp4 -c copy -metadata:s:v:0 rotate=270", Played(180, 320, 4.0, true)),
        (
            "uneven.mp4",
            "-f lavfi -i testsrc2=size=320x180:rate=30:duration=4 {S} -vf select='not(mod(n,3))+gt(t,2)' -vsync vfr {H} {A}",
            PLAIN,
        ),
        ("hevc.mp4", "{P} {S} {265} -pix_fmt yuv420p -tag:v hvc1 {A}", PLAIN),
        ("hevc ten bits.mov", "{P} {S} {265} -pix_fmt yuv420p10le -tag:v hvc1 {A}", PLAIN),
        ("vp8.webm", "{P} {S} -c:v libvpx -deadline realtime -c:a libvorbis", PLAIN),
        ("vp9.webm", "{P} {S} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", PLAIN),
        ("av1.webm", "{P} {S} -c:v libsvtav1 -preset 12 -c:a libopus", PLAIN),
        ("dvd.ts", "{P} {S} -c:v mpeg2video -b:v 2M -c:a mp2", PLAIN),
        ("dvd.mpg", "{P} {S} -c:v mpeg2video -b:v 2M -c:a mp2", PLAIN),
        ("camcorder.m2ts", "{P} {S} {H} -c:a ac3 -mpegts_m2ts_mode 1", PLAIN),
        ("h264.ts", "{P} {S} {H} {A}", PLAIN),
        ("old camera.avi", "{P} {S} -c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le", PLAIN),
        ("theora.ogv", "{P} {S} -c:v libtheora -b:v 2M -c:a libvorbis", PLAIN),
        ("old.wmv", "{P} {S} -c:v wmv2 -b:v 2M -c:a wmav2", PLAIN),
        ("flash.flv", "{P} {S} {H} {A}", PLAIN),
        ("cut out.mov", "{P} {S} -c:v prores_ks -c:a pcm_s16le", PLAIN),
        (
            "phone.3gp",
            "-f lavfi -i testsrc2=size=176x144:rate=15:duration=4 {S} -c:v h263 -b:v 1M -ac 1 -c:a aac",
            Played(176, 144, 4.0, true),
        ),
        ("open groups.mp4", "{P} {S} -c:v libx264 -pix_fmt yuv420p -g 50 -bf 3 -x264-params open-gop=1 {A}", PLAIN),
        ("open groups.ts", "{P} {S} -c:v libx264 -pix_fmt yuv420p -g 50 -bf 3 -x264-params open-gop=1 {A}", PLAIN),
        (
            "lines.mpg",
            "-f lavfi -i testsrc2=size=320x240:rate=50:duration=4 {S} -vf interlace -c:v mpeg2video -b:v 2M -flags +ilme+ildct -c:a mp2",
            Played(320, 240, 4.0, true),
        ),
        (
            "lines.mp4",
            "-f lavfi -i testsrc2=size=320x240:rate=50:duration=4 {S} -vf interlace -c:v libx264 -flags +ilme+ildct -pix_fmt yuv420p {A}",
            Played(320, 240, 4.0, true),
        ),
        ("pq.mp4", &format!("{{P}} {{S}} {pq} {{A}}"), PLAIN),
        ("hlg.mov", &format!("{{P}} {{S}} {hlg} {{A}}"), PLAIN),
    ]
    .into_iter()
    .map(|(name, arguments, fate)| (name, arguments.to_owned(), fate))
    .collect();
    let kinds: Vec<(&str, &str, Fate)> =
        kinds.iter().map(|(name, arguments, fate)| (*name, arguments.as_str(), *fate)).collect();
    // Of high dynamic range, what is shown looks as the film did before it was made so.
    make_and_check(&kinds, |name| ["pq.mp4", "hlg.mov"].contains(&name).then_some("plain.mp4"));
}

#[test]
fn shapes_speeds_and_sounds_of_all_kinds_are_played() {
    let seven = "-af pan=7.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0|c6=c0|c7=c0";
    let kinds: Vec<(&str, String, Fate)> = [
        ("plain.mp4", "{P} {S} {H} {A}", PLAIN),
        ("wide pixels.mp4", "-f lavfi -i testsrc2=size=360x288:rate=25:duration=4 {S} -vf setsar=16/11 {H} {A}", Played(360, 288, 4.0, true)),
        ("wide pixels.avi", "-f lavfi -i testsrc2=size=352x288:rate=25:duration=4 -vf setsar=12/11 -c:v mpeg4 -q:v 3", Played(384, 288, 4.0, false)),
        ("odd.avi", "-f lavfi -i testsrc=size=853x479:rate=10:duration=4 -c:v mjpeg -pix_fmt yuvj444p", Played(854, 480, 4.0, false)),
        ("dot.mkv", "-f lavfi -i color=white:size=16x16:rate=25:duration=4 -vf scale=1:1,format=bgr0 -c:v ffv1", Played(16, 16, 4.0, false)),
        ("large.mp4", "-f lavfi -i testsrc2=size=3840x2160:rate=10:duration=1 {H}", Played(1920, 1080, 1.0, false)),
        ("fast.mp4", "-f lavfi -i testsrc2=size=320x180:rate=120:duration=4 {S} {H} {A}", PLAIN),
        ("slides.mp4", "-f lavfi -i testsrc2=size=320x180:rate=1:duration=8 -f lavfi -i sine=duration=8 -c:v libx264 -pix_fmt yuv420p -g 4 {A}", Played(320, 180, 8.0, true)),
        ("one frame.mp4", "-f lavfi -i testsrc2=size=320x180:rate=25 {H} -frames:v 1", Rest(0.01, 0.1)),
        ("four fours.mkv", "{P} -c:v libx264 -pix_fmt yuv444p -g 50", Played(320, 180, 4.0, false)),
        ("fragments.mp4", "{P} {S} {H} {A} -movflags +frag_keyframe+empty_moov+default_base_moof", PLAIN),
        ("silent.mp4", "{P} {H}", Played(320, 180, 4.0, false)),
        ("flac.mkv", "{P} {S} {H} -c:a flac", PLAIN),
        ("opus.mkv", "{P} {S} {H} -c:a libopus", PLAIN),
        ("five one.mp4", "{P} {S} {H} -ac 6 {A}", PLAIN),
        ("seven one.mkv", &format!("{{P}} {{S}} {{H}} {seven} -c:a flac"), PLAIN),
        ("telephone.mp4", "{P} {S} {H} -ac 1 -ar 8000 {A}", PLAIN),
        ("languages.mp4", "{P} {S} -f lavfi -i sine=frequency=880:sample_rate=44100:duration=4 -map 0:v -map 1:a -map 2:a {H} {A}", PLAIN),
        ("late sound.mp4", "-i {DIR}/plain.mp4 -itsoffset 0.5 -i {DIR}/plain.mp4 -map 0:v -map 1:a -c copy", Played(320, 180, 4.0, true)),
        ("late picture.mp4", "-itsoffset 0.5 -i {DIR}/plain.mp4 -i {DIR}/plain.mp4 -map 0:v -map 1:a -c copy", Rest(4.35, 4.65)),
        ("very late picture.mp4", "-itsoffset 1.5 -i {DIR}/plain.mp4 -i {DIR}/plain.mp4 -map 0:v -map 1:a -c copy", Rest(5.35, 5.65)),
        ("edited.mp4", "-ss 1.3 -i {DIR}/plain.mp4 -c copy", Rest(2.55, 2.85)),
        ("sound.mp3", "{S} -c:a libmp3lame", Played(640, 360, 4.05, true)),
        ("sound.m4a", "{S} {A}", Played(640, 360, 4.0, true)),
        ("sound.wav", "{S}", Played(640, 360, 4.0, true)),
        ("sound.ogg", "{S} -c:a libvorbis", Played(640, 360, 4.0, true)),
        ("sound.flac", "{S} -c:a flac", Played(640, 360, 4.0, true)),
        ("sound.wma", "{S} -c:a wmav2", Played(640, 360, 4.0, true)),
    ]
    .into_iter()
    .map(|(name, arguments, fate)| (name, arguments.to_owned(), fate))
    .collect();
    let kinds: Vec<(&str, &str, Fate)> =
        kinds.iter().map(|(name, arguments, fate)| (*name, arguments.as_str(), *fate)).collect();
    make_and_check(&kinds, |_| None);
}

/// The fields of time in an MP4's boxes, each made `times` as long.
fn stretched(film: &[u8], times: u32) -> Vec<u8> {
    let mut film = film.to_vec();
    // Behind a box's name: version and flags, two times of 32 bits, and then (ISO/IEC 14496-12 clause 8).
    for (name, duration) in [(b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)] {
        let places: Vec<usize> =
            film.windows(4).enumerate().filter_map(|(at, word)| (word == name).then_some(at)).collect();
        assert!(!places.is_empty(), "{name:?}");
        for place in places {
            let field = &mut film[place + duration..place + duration + 4];
            let value = u32::from_be_bytes([field[0], field[1], field[2], field[3]]) * times;
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
    film
}

#[test]
fn broken_and_strange_files_are_played_as_far_as_they_go_or_refused_with_the_reason() {
    let server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| made.path().join(name);
    let make = |name: &str, arguments: &str| ffmpeg(&expand(arguments, made.path()), &path(name));
    let read = |name: &str| fs::read(path(name)).expect("it is made");
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).expect("room");
    let noise = |length: u32| {
        (0..length).map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>()
    };

    make("plain.mp4", "{P} {S} {H} {A}");
    make("moov first.mp4", "{P} {S} {H} {A} -movflags +faststart");
    make("whole.mkv", "{P} {S} {H} -c:a libopus");
    make("whole.ts", "{P} {S} {H} {A}");
    make("whole.avi", "{P} {S} -c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le");
    make("fragments.mp4", "{P} {S} {H} {A} -movflags +frag_keyframe+empty_moov+default_base_moof");
    let cut = |from: &str, to: &str, percent: usize| write(to, &read(from)[..read(from).len() * percent / 100]);
    cut("plain.mp4", "moov is gone.mp4", 80);
    cut("moov first.mp4", "in a frame.mp4", 70);
    cut("whole.mkv", "cut.mkv", 70);
    cut("whole.ts", "cut.ts", 60);
    cut("whole.avi", "cut.avi", 60);
    cut("fragments.mp4", "cut fragments.mp4", 60);
    write("empty.mp4", b"");
    write("text.mp4", &b"Bukan video.\n".repeat(500));
    write("noise.mkv", &noise(90_000));
    write("header.mp4", &[&read("moov first.mp4")[..3000], &noise(60_000)].concat());
    write("name only.mp4", &[&read("plain.mp4")[..32], &noise(60_000)].concat());
    let film = read("plain.mp4");
    write("scratched.mp4", &[&film[..film.len() / 2], &noise(4000), &film[film.len() / 2 + 4000..]].concat());
    write("says long.mp4", &stretched(&film, 20));
    write("says weeks.mp4", &stretched(&film, 22_000));
    write("says nothing.mp4", &stretched(&film, 0));
    make("later.ts", "{P} {S} {H} {A} -output_ts_offset 50000 -muxdelay 0");
    write("jumps ahead.ts", &[read("whole.ts"), read("later.ts")].concat());
    write("jumps back.ts", &[read("whole.ts"), read("whole.ts")].concat());
    make("larger.ts", "-f lavfi -i testsrc2=size=640x360:rate=25:duration=4 {S} {H} {A}");
    write("grows.ts", &[read("whole.ts"), read("larger.ts")].concat());
    make("photo.jpg", "-f lavfi -i testsrc2=size=640x480 -frames:v 1");
    make("picture.png", "-f lavfi -i testsrc2=size=640x480 -frames:v 1");
    make("moves.gif", "-f lavfi -i testsrc2=size=160x90:rate=10:duration=1");
    write("paper.pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n");
    write("words.srt", b"1\n00:00:00,500 --> 00:00:02,000\nHalo\n\n2\n00:00:02,500 --> 00:00:04,000\nSelamat\n");
    make("words.mkv", "-i {DIR}/words.srt -c:s srt");
    make("words.mp4", "-i {DIR}/words.srt -c:s mov_text");
    make("with words.mp4", "-i {DIR}/plain.mp4 -i {DIR}/words.srt -map 0 -map 1 -c copy -c:s mov_text");
    make(
        "locked.mp4",
        "-i {DIR}/plain.mp4 -c copy -encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8",
    );
    make(
        "song.mp3",
        "{S} -i {DIR}/photo.jpg -map 0 -map 1 -c:a libmp3lame -id3v2_version 3 -disposition:v attached_pic",
    );
    let kinds = [
        ("moov is gone.mp4", Refused("import_damaged")),
        ("in a frame.mp4", Rest(2.0, 3.9)),
        ("cut.mkv", Rest(2.0, 3.9)),
        ("cut.ts", Rest(1.5, 3.5)),
        ("cut.avi", Rest(1.5, 3.5)),
        ("cut fragments.mp4", Rest(1.5, 3.5)),
        ("empty.mp4", Refused("import_empty")),
        ("text.mp4", Refused("import_no_media")),
        ("noise.mkv", Refused("import_no_media")),
        ("header.mp4", Refused("import_damaged")),
        ("name only.mp4", Refused("import_damaged")),
        ("scratched.mp4", Rest(1.5, 4.1)),
        ("says long.mp4", Rest(3.9, 4.1)),
        ("says weeks.mp4", Rest(3.9, 4.1)),
        ("says nothing.mp4", Rest(3.9, 4.1)),
        ("jumps ahead.ts", Rest(7.5, 8.6)),
        ("jumps back.ts", Rest(7.5, 8.6)),
        ("grows.ts", Rest(7.5, 8.6)),
        ("photo.jpg", Refused("import_no_media")),
        ("picture.png", Refused("import_no_media")),
        ("moves.gif", Refused("import_no_media")),
        ("paper.pdf", Refused("import_no_media")),
        ("words.srt", Refused("import_no_media")),
        ("words.mkv", Refused("import_no_media")),
        ("words.mp4", Refused("import_no_media")),
        ("with words.mp4", PLAIN),
        ("locked.mp4", Refused("import_unsupported")),
        ("song.mp3", Rest(3.9, 4.2)),
    ];
    check(&server, made.path(), &kinds, |_| None);
}

/// Flashes and beeps are told apart by so much, seconds.
const STEP: f64 = 0.005;

/// When the picture turns bright, and when the tone begins, in seconds.
fn flashes_and_beeps(input: &str) -> (Vec<f64>, Vec<f64>) {
    let raw = |arguments: &[&str]| {
        let output = Command::new("ffmpeg").args(["-v", "fatal", "-i", input]).args(arguments).arg("-").output();
        output.expect("ffmpeg is installed").stdout
    };
    let bright = raw(&["-vf", "fps=200:start_time=0,scale=1:1:flags=area,format=gray", "-f", "rawvideo"]);
    let sound = raw(&["-af", "aresample=8000:async=1:first_pts=0", "-ac", "1", "-f", "s16le"]);
    let loud: Vec<u8> = sound
        .chunks_exact(40 * 2)
        .map(|block| {
            block.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs()).max()
        })
        .map(|most| if most > Some(3000) { 255 } else { 0 })
        .collect();
    let rises = |levels: &[u8]| {
        let pairs = levels.windows(2).enumerate().filter(|(_, pair)| pair[0] < 128 && pair[1] >= 128);
        pairs.map(|(at, _)| (at + 1) as f64 * STEP).collect::<Vec<_>>()
    };
    (rises(&bright), rises(&loud))
}

#[test]
fn lips_move_when_words_are_heard() {
    let server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| made.path().join(name);
    // A flash and a beep each second, from half a second on.
    let master = "-f lavfi -i color=black:size=320x180:rate=25:duration=6,drawbox=color=white:t=fill:enable='between(mod(t,1),0.5,0.7)' \
        -f lavfi -i aevalsrc=if(between(mod(t\\,1)\\,0.5\\,0.7)\\,0.8*sin(2*PI*1000*t)\\,0):s=48000:d=6 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a pcm_s16le";
    ffmpeg(&expand(master, made.path()), &path("master.mkv"));
    let kinds = [
        ("aac.mp4", "-i {DIR}/master.mkv {H} -g 25 {A}"),
        ("reordered.mp4", "-i {DIR}/master.mkv -c:v libx264 -bf 3 -g 25 {A}"),
        ("edited.mp4", "-ss 1.3 -i {DIR}/aac.mp4 -c copy"),
        ("opus.webm", "-i {DIR}/master.mkv -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
        ("mp3.avi", "-i {DIR}/master.mkv -c:v mpeg4 -c:a libmp3lame"),
        ("mp2.ts", "-i {DIR}/master.mkv -c:v mpeg2video -b:v 2M -c:a mp2"),
        ("low.mp4", "-i {DIR}/master.mkv {H} -ar 22050 -ac 1 {A}"),
        ("hevc.mkv", "-i {DIR}/master.mkv {265} -c:a flac"),
    ];
    for (name, arguments) in kinds {
        ffmpeg(&expand(arguments, made.path()), &path(name));
        hand_in(&server, &path(name));
    }
    for (name, _) in kinds {
        let found = outcome(&server, name);
        let id = found["broadcast_id"].as_str().unwrap_or_else(|| panic!("{name}: {found}"));
        let download = play(&server, id, name);
        let (flashes, beeps) = flashes_and_beeps(&download);
        assert!(flashes.len() >= 4, "{name}: {flashes:?} {beeps:?}");
        for flash in &flashes {
            let heard = beeps.iter().any(|beep| (flash - beep).abs() <= 0.040 + STEP / 2.0);
            assert!(heard, "{name}: {flashes:?} {beeps:?}");
        }
    }
}
