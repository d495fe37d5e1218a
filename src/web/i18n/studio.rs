//! Texts of the studio and of its stream keys. What stands in braces is filled in by the page's script.

use super::{phrases, texts};

texts! {
    studio_title = "Studio", "Studio";
    studio_tabs = "Bagian studio", "Parts of the studio";
    studio_tab_live = "Siaran", "Broadcast";
    studio_tab_keys = "Kunci siaran", "Stream keys";
    studio_prepare = "Siapkan siaran", "Prepare a broadcast";
    studio_preview = "Pratinjau", "Preview";
    studio_preview_none = "Pilih sumber gambar untuk melihat pratinjau.", "Choose a source to see its preview.";
    studio_preview_starting = "Membuka sumber…", "Opening the source…";
    studio_preview_video_lost = "Gambar hilang. Periksa kabel kamera.", "The picture is lost. Check the camera’s cable.";
    studio_preview_audio_lost = "Suara hilang. Periksa mikrofon.", "The sound is lost. Check the microphone.";
    studio_preview_publisher_gone = "Pengirim gambar terputus.", "The sender is gone.";
    studio_preview_publisher_still = "Gambar dari pengirim berhenti. Periksa jaringannya.",
        "The sender’s picture has stopped. Check its network.";
    studio_preview_failed = "Sumber ini tidak dapat dibuka.", "This source cannot be opened.";
    studio_listen = "Dengarkan", "Listen";
    studio_stop_listening = "Berhenti mendengarkan", "Stop listening";
    studio_level = "Kuat suara", "Sound level";
    studio_level_unit = "{level} desibel", "{level} decibels";
    studio_no_script = "Pratinjau dan angka langsung memerlukan JavaScript. Siaran tetap dapat dimulai dan diakhiri tanpa itu.",
        "The preview and the live numbers need JavaScript. A broadcast can be started and ended without it.";

    studio_step_source = "Sumber", "Source";
    studio_step_about = "Judul", "Title";
    studio_step_audience = "Siapa yang boleh menonton", "Who may watch";
    studio_source_camera = "Kamera", "Camera";
    studio_source_rtmp = "Dari jaringan", "From the network";
    studio_source_test_label = "Gambar uji", "Test picture";
    studio_source_file = "Dari berkas", "From a file";
    studio_source_test = "Dengan jam dan nada, selalu tersedia", "With a clock and a tone, always there";
    studio_source_untouched = "dikirim apa adanya, tanpa dikodekan ulang", "sent as it is, without encoding again";
    studio_source_not_ready = "belum siap", "not ready";
    studio_source_none = "Tidak ada sumber. Sambungkan kamera USB atau buat kunci siaran.",
        "There is no source. Plug in a USB camera or make a stream key.";
    studio_microphone = "Mikrofon", "Microphone";
    studio_microphone_none = "Tanpa suara", "No sound";
    studio_content = "Yang ditampilkan", "What is shown";
    content_talk = "Orang", "Talk";
    content_talk_hint = "Gerak tetap halus.", "People: movement stays smooth.";
    content_slides = "Tulisan di layar", "Slides";
    content_slides_hint = "Tulisan kecil tetap terbaca; gerak kurang halus.", "Screen text: small letters stay legible, movement is less smooth.";
    studio_title_label = "Judul", "Title";
    studio_description_label = "Keterangan", "Description";
    studio_checks = "Pemeriksaan", "Checks";
    studio_check_picture = "Gambar", "Picture";
    studio_check_sound = "Suara", "Sound";
    studio_check_disk = "Ruang rekam", "Room to record";
    studio_check_network = "Jaringan", "Network";
    check_waiting = "sedang diperiksa…", "checking…";
    check_picture_ok = "terlihat", "visible";
    check_picture_bad = "belum ada gambar", "no picture yet";
    check_sound_ok = "terdengar", "audible";
    check_sound_quiet = "pelan sekali, coba bicara lebih dekat", "very quiet, speak closer";
    check_sound_loud = "terlalu keras, jauhkan mikrofon", "too loud, move the microphone away";
    check_sound_none = "belum terdengar, coba bicara", "nothing heard yet, say something";
    check_network_ok = "tersambung", "connected";
    check_network_bad = "terputus dari kotak siaran", "cut off from the box";
    studio_go_live = "Mulai siaran", "Go live";
    studio_going_live = "Memulai…", "Starting…";
    studio_no_room = "Ruang di kotak siaran hampir habis. Siarkan tanpa merekam, atau minta pengelola mengosongkan ruang dulu.",
        "There is hardly any room left on the box. Broadcast without recording, or ask the admin to make room first.";
    studio_unrecorded = "Siarkan tanpa merekam", "Go live without recording";
    studio_failed = "Siaran tidak dapat dimulai.", "The broadcast could not be started.";

    air_heading = "Sedang mengudara", "On air";
    air_starting = "Memulai", "Starting";
    air_live = "Mengudara", "On air";
    air_elapsed = "Lama siaran", "On air for";
    air_viewers = "Penonton", "Viewers";
    air_bitrate = "Kecepatan data", "Data rate";
    air_dropped = "Gambar terlewat", "Frames dropped";
    air_disk = "Sisa ruang rekam", "Room to record";
    air_health_ok = "Semua baik.", "All well.";
    air_health_video_lost = "Kamera hilang, penonton melihat gambar pengganti. Periksa kabelnya.",
        "Camera lost, viewers see the slate. Check its cable.";
    air_health_audio_lost = "Suara hilang, siaran berlanjut tanpa suara. Periksa mikrofon.",
        "Sound lost, the broadcast goes on without it. Check the microphone.";
    air_health_publisher_gone = "Pengirim gambar terputus, penonton melihat gambar pengganti. Siaran menunggunya kembali.",
        "The sender is gone, viewers see the slate. The broadcast waits for it to come back.";
    air_health_publisher_still = "Gambar dari pengirim berhenti, penonton melihat gambar pengganti. Periksa jaringannya.",
        "The sender’s picture has stopped, viewers see the slate. Check its network.";
    air_health_restarting = "Perekam dimulai ulang, sebentar lagi kembali.", "The capture is restarting and will be back in a moment.";
    air_health_recording_paused = "Ruang penuh: siaran berlanjut, rekaman berhenti sementara. Minta pengelola mengosongkan ruang.",
        "The disk is full: the broadcast goes on, the recording is paused. Ask the admin to make room.";
    air_health_capture_failing = "Gambar tidak dapat diambil: perekam terus gagal dan dicoba lagi tiap beberapa detik. Hubungi pengelola.",
        "No picture: the capture keeps failing and is tried again every few seconds. Tell the admin.";
    air_health_recording_failing = "Penyimpanan bermasalah: siaran berlanjut, rekaman dicoba lagi terus. Bila tetap begini, hubungi pengelola.",
        "The disk does not take the recording: the broadcast goes on, and it is tried again all the time. If this stays, tell the admin.";
    air_health_busy = "Kotak ini sibuk: gambar terbesar dihentikan sementara. Penonton tetap menerima gambar yang lebih kecil.",
        "This box is busy: the largest picture is left out for a while. Viewers get a smaller one.";
    air_health_hot = "Kotak ini terlalu panas: gambar terbesar dihentikan sementara. Periksa lubang udaranya.",
        "This box is too hot: the largest picture is left out for a while. See that air gets to it.";
    air_health_half_rate = "Kotak ini tidak sanggup: penonton hanya menerima gambar terkecil, dengan separuh jumlah gambar per detik.",
        "This box cannot keep up: viewers get only the smallest picture, with half as many frames a second.";
    air_health_lost = "Tidak tersambung ke kotak siaran. Siaran mungkin tetap berjalan; mencoba lagi…",
        "Not connected to the box. The broadcast may well be running; trying again…";
    air_pin = "PIN untuk penonton", "PIN for viewers";
    air_open = "Buka halaman tonton", "Open the watch page";
    air_copy = "Salin alamat", "Copy the address";
    air_copied = "Tersalin", "Copied";
    air_end = "Akhiri siaran", "End the broadcast";
    air_end_text = "Penonton langsung mendapat rekamannya di alamat yang sama. Siaran ini tidak dapat dilanjutkan lagi.",
        "Viewers get the recording at once, at the same address. This broadcast cannot be resumed.";
    air_keep = "Tetap siaran", "Stay on air";
    air_ending = "Mengakhiri…", "Ending…";
    air_unrecorded = "Siaran ini tidak direkam: ruang di kotak siaran tidak cukup.",
        "This broadcast is not being recorded: there was not enough room on the box.";
    air_ended_unrecorded = "Siaran selesai. Siaran ini tidak direkam.", "The broadcast has ended. It was not recorded.";
    air_ended = "Siaran selesai dan sudah tersimpan.", "The broadcast has ended and is saved.";
    air_watch_recording = "Tonton rekaman", "Watch the recording";
    air_another = "Siapkan siaran lain", "Prepare another broadcast";
    air_qr = "Kode QR untuk ruang tunggu", "QR code for the waiting room";
    air_qr_hint = "Kode ini selalu membuka siaran yang sedang langsung. Cetak sekali, tempel di dinding.",
        "This code always opens whatever is live. Print it once and put it on the wall.";

    keys_title = "Kunci siaran", "Stream keys";
    keys_lead = "Dengan kunci siaran, OBS, aplikasi ponsel, atau kamera jaringan dapat mengirim gambar ke sini tanpa dikodekan ulang.",
        "With a stream key, OBS, a phone app or a network camera can send its picture here without encoding again.";
    keys_new = "Buat kunci baru", "Make a new key";
    keys_label = "Nama", "Label";
    keys_label_hint = "Menjadi judul siaran, misalnya “Aula” atau “Ponsel Bu Sari”.", "Becomes the broadcast’s title, such as “Hall” or “Sari’s phone”.";
    keys_when = "Begitu gambar diterima", "When a picture arrives";
    keys_auto = "Langsung mengudara", "Goes on air by itself";
    keys_auto_hint = "Siaran mulai tanpa membuka studio.", "The broadcast begins without the studio.";
    keys_wait = "Menunggu di studio", "Waits in the studio";
    keys_wait_hint = "Muncul sebagai sumber; Anda yang menekan tombol.", "Appears as a source; you press the button.";
    keys_make = "Buat kunci", "Make the key";
    keys_none = "Belum ada kunci siaran.", "There are no stream keys yet.";
    keys_existing = "Kunci yang berlaku", "Keys in use";
    keys_connected = "Sedang mengirim", "Sending now";
    keys_never_used = "Belum pernah dipakai", "Never used";
    keys_revoke = "Cabut", "Revoke";
    keys_revoke_sure = "Ya, cabut kunci ini", "Yes, revoke this key";
    keys_once = "Kunci ini hanya tampil sekali. Salin sekarang.", "This key is shown only once. Copy it now.";
    keys_server = "Alamat server", "Server";
    keys_key = "Kunci", "Key";
    keys_copy = "Salin", "Copy";
    keys_copied = "Tersalin", "Copied";
    keys_full = "Alamat lengkap", "Full address";
    keys_how = "Cara memakai", "How to use it";
    keys_how_obs = "Pengaturan → Siaran → Layanan: Khusus. Isi Server dan Kunci di atas. Pada Keluaran pilih x264 atau perangkat keras, interval keyframe 1 detik, tanpa B-frame.",
        "Settings → Stream → Service: Custom. Enter Server and Key from above. Under Output choose x264 or hardware, keyframe interval 1 s, no B-frames.";
    keys_how_larix = "Pengaturan → Koneksi → Baru. Tempelkan alamat lengkap sebagai URL, lalu simpan dan tekan tombol rekam.",
        "Settings → Connections → New. Paste the full address as URL, save, and press the record button.";
    keys_how_ffmpeg = "Kirim sebuah berkas dari terminal:", "Send a file from a terminal:";
    keys_rtmp_off = "Penerima RTMP sedang dimatikan di konfigurasi. Kunci dapat dibuat tetapi belum dapat dipakai.",
        "The RTMP listener is off in the configuration. Keys can be made but not used yet.";
}

phrases! {
    studio_free_trash(size: &str) = format!("Kosongkan sampah ({size}) lalu mulai"), format!("Empty the trash ({size}) and go live");
    studio_default_title(day: &str) = format!("Siaran {day}"), format!("Broadcast of {day}");
    studio_source_format(width: &str, height: &str, frames: &str) =
        format!("{width} × {height}, {frames} gambar per detik"), format!("{width} × {height}, {frames} pictures a second");
    check_disk_ok(time: &str) = format!("cukup untuk {time}"), format!("enough for {time}");
    check_disk_low(time: &str) = format!("tinggal {time}, minta pengelola mengosongkan ruang"),
        format!("only {time} left, ask the admin to make room");
    air_end_question(title: &str) = format!("Akhiri “{title}”?"), format!("End “{title}”?");
    keys_made(label: &str) = format!("Kunci “{label}” siap dipakai"), format!("Key “{label}” is ready");
    keys_used(when: &str) = format!("Terakhir dipakai {when}"), format!("Last used {when}");
    keys_revoke_text(label: &str) =
        format!("Perangkat yang memakai “{label}” tidak dapat lagi mengirim gambar; siaran yang sedang berjalan dengannya berakhir. Rekaman tetap ada."),
        format!("Devices that use “{label}” can no longer send; a broadcast running on it ends. Recordings stay.");
}
