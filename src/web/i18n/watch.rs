//! Texts of the pages that play: the broadcast's own, the one that waits, and the lobby's screen.
//! What stands in braces is filled in by the page's script.

use super::{phrases, texts};

texts! {
    watch_player = "Pemutar video", "Video player";
    watch_waiting_title = "Siaran segera dimulai", "The broadcast is about to begin";
    watch_waiting = "Halaman ini mulai memutar dengan sendirinya.", "This page starts playing by itself.";
    watch_scheduled_title = "Siaran belum dimulai", "The broadcast has not begun yet";
    watch_ended_title = "Siaran telah selesai", "The broadcast has ended";
    watch_ended = "Rekamannya sudah bisa ditonton di alamat ini.", "You can watch its recording at this very address.";
    watch_from_beginning = "Putar dari awal", "Play from the beginning";
    watch_failed_title = "Siaran tidak dapat diputar", "The broadcast cannot be played";
    watch_failed = "Siaran ini terhenti sebelum ada gambar yang direkam.", "This broadcast stopped before any picture was recorded.";
    watch_unrecorded_title = "Siaran telah selesai", "The broadcast has ended";
    watch_unrecorded = "Siaran ini tidak direkam, jadi tidak dapat diputar ulang.", "It was not recorded, so it cannot be watched again.";
    watch_pin = "Sematkan", "Pin";
    watch_unpin = "Lepas sematan", "Unpin";
    watch_pin_hint = "Yang disematkan tidak pernah dihapus sendiri.", "What is pinned is never deleted by itself.";
    watch_unmute = "Ketuk untuk suara", "Tap for sound";
    watch_press_play = "Ketuk untuk memutar", "Tap to play";
    watch_behind = "{seconds} dtk di belakang – kembali ke siaran", "{seconds} s behind – back to live";
    watch_behind_minutes = "{minutes} mnt di belakang – kembali ke siaran", "{minutes} min behind – back to live";
    watch_reconnecting = "Sambungan terputus. Mencoba lagi…", "Connection lost. Trying again…";
    watch_back_live = "Kembali ke siaran langsung", "Back to live";
    watch_now_live = "Siaran langsung dimulai.", "The broadcast is live now.";
    watch_now_ended = "Siaran selesai. Anda sekarang menonton rekamannya.", "The broadcast has ended. You are now watching its recording.";
    watch_cannot_play = "Peramban ini tidak dapat memutar video. Perbarui peramban, atau unduh rekamannya.",
        "This browser cannot play the video. Update it, or download the recording.";
    watch_no_script = "Pemutar memerlukan JavaScript. Rekaman yang sudah selesai dapat diunduh di bawah ini.",
        "The player needs JavaScript. A finished recording can be downloaded below.";
    watch_download = "Unduh video", "Download the video";
    watch_about = "Tentang video ini", "About this video";
    watch_more = "Tonton berikutnya", "Watch next";
    watch_recording = "Rekaman", "Recording";
    watch_from_start = "Dari awal", "From the beginning";

    watch_quality = "Mutu gambar", "Picture quality";
    watch_quality_auto = "Otomatis", "Automatic";
    watch_quality_saver = "Hemat kuota · {lines}p", "Data saver · {lines}p";
    watch_quality_best = "Sangat jernih · {lines}p", "Very sharp · {lines}p";
    watch_quality_good = "Jernih · {lines}p", "Sharp · {lines}p";
    watch_quality_fair = "Sedang · {lines}p", "Medium · {lines}p";
    watch_quality_sound = "Hanya suara", "Sound only";
    watch_slow = "Koneksi lambat – dengarkan suaranya saja", "Slow connection – just listen";
    watch_only_sound = "Hanya suara, tanpa gambar", "Sound only, no picture";

    key_play = "Putar", "Play";
    key_pause = "Jeda", "Pause";
    key_mute = "Bisukan", "Mute";
    key_unmute = "Bunyikan", "Unmute";
    key_fullscreen = "Layar penuh", "Full screen";
    key_exit_fullscreen = "Keluar dari layar penuh", "Leave full screen";
    key_seek = "geser waktu", "seek";
    key_volume = "volume", "volume";
    key_back = "Mundur {seekOffset} detik", "Back {seekOffset} seconds";
    key_forward = "Maju {seekOffset} detik", "Forward {seekOffset} seconds";
    key_time = "waktu putar", "playback time";
    key_time_of = "{currentTime} dari {totalTime}", "{currentTime} of {totalTime}";
    key_time_left = "tersisa {time}", "{time} remaining";
    key_loading = "memuat", "loading";
    key_player = "pemutar video", "video player";
    key_unknown_time = "video belum dimuat", "video not loaded";

    pin_title = "Video ini memakai PIN", "This video has a PIN";
    pin_lead = "Masukkan enam angka yang diberikan petugas.", "Enter the six digits that the staff gave you.";
    pin_label = "PIN", "PIN";
    pin_button = "Tonton", "Watch";

    live_page_title = "Siaran langsung", "Live";
    live_waiting_title = "Belum ada siaran langsung", "Nothing is live right now";
    live_waiting = "Biarkan halaman ini terbuka: siaran berikutnya mulai dengan sendirinya.",
        "Leave this page open: the next broadcast starts by itself.";
    live_meanwhile = "Sambil menunggu", "While you wait";
    live_no_script = "Muat ulang halaman ini untuk melihat apakah siaran sudah dimulai.", "Reload this page to see whether a broadcast has begun.";

    tv_title = "Layar ruang tunggu", "Lobby screen";
    tv_waiting = "Siaran berikutnya segera hadir", "The next broadcast is coming soon";
    tv_scan = "Pindai untuk menonton di ponsel", "Scan to watch on your phone";
}

phrases! {
    watch_reading(percent: u32) = format!("Berkas ini masih dibaca ({percent} %). Yang sudah terbaca dapat diputar."),
        format!("This file is still being read in ({percent} %). What has been read can be played.");
    viewers_template(n: &str) = format!("{n} penonton"), format!("{n} watching");
    watch_ended_at(time: &str) = format!("Disiarkan {time}"), format!("Broadcast {time}");
    watch_size(size: &str) = format!("MP4, {size}"), format!("MP4, {size}");
}

texts! {
    js_hour = "jam", "hour";
    js_hours = "jam", "hours";
    js_minute = "menit", "minute";
    js_minutes = "menit", "minutes";
    js_second = "detik", "second";
    js_seconds = "detik", "seconds";
}
