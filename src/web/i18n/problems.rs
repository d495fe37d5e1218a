//! What is wrong, by the stable word of the refusal: the same texts beside a form's field and in a script's message.

use std::collections::BTreeMap;

use super::Lang;

/// Word, Indonesian, English.
const PROBLEMS: &[(&str, &str, &str)] = &[
    ("required", "Isian ini perlu diisi.", "Please fill this in."),
    ("username_length", "Gunakan 3 sampai 64 karakter.", "Use 3 to 64 characters."),
    (
        "username_characters",
        "Gunakan huruf, angka, titik, dan tanda hubung saja.",
        "Use only letters, digits, dots, hyphens and underscores.",
    ),
    ("username_taken", "Nama ini sudah dipakai. Pilih nama lain.", "This name is taken. Choose another one."),
    ("password_too_short", "Sedikitnya 10 karakter.", "At least 10 characters."),
    ("password_too_long", "Kata sandi ini terlalu panjang.", "This password is too long."),
    (
        "password_is_username",
        "Kata sandi tidak boleh sama dengan nama pengguna.",
        "The password must not be the username.",
    ),
    (
        "password_common",
        "Kata sandi ini mudah ditebak. Pilih yang lain.",
        "This password is easily guessed. Choose another one.",
    ),
    ("passwords_differ", "Kedua kata sandi tidak sama.", "The two passwords differ."),
    ("label_length", "Nama terdiri atas 1 sampai 80 karakter.", "A label has 1 to 80 characters."),
    ("label_characters", "Nama hanya boleh satu baris teks biasa.", "A label is one line of plain text."),
    ("title_length", "Judul terdiri atas 1 sampai 200 karakter.", "A title has 1 to 200 characters."),
    ("title_characters", "Judul hanya boleh satu baris teks biasa.", "A title is one line of plain text."),
    ("description_length", "Keterangan paling banyak 5000 karakter.", "A description has at most 5000 characters."),
    ("description_characters", "Keterangan hanya boleh berisi teks biasa.", "A description is plain text."),
    ("tag", "Satu topik paling banyak 40 karakter.", "A topic has at most 40 characters."),
    ("too_many_tags", "Paling banyak 10 topik.", "At most 10 topics."),
    ("pin", "PIN terdiri atas enam angka.", "A PIN is six digits."),
    ("bad_choice", "Pilih salah satu.", "Choose one of these."),
    (
        "bad_form",
        "Isian ini tidak terbaca. Muat ulang halamannya, lalu isi sekali lagi.",
        "This cannot be read. Reload the page and fill it in again.",
    ),
    ("language", "Halaman tersedia dalam bahasa Indonesia dan Inggris.", "There are pages in Indonesian and English."),
    (
        "body_too_large",
        "Isian ini terlalu panjang. Perpendek, lalu kirim lagi.",
        "What was typed is too long. Shorten it and send it again.",
    ),
    ("retention_days", "Isi 1 sampai 36500 hari.", "Enter 1 to 36500 days."),
    ("retention_quota", "Isi 1 sampai 1000000 GB.", "Enter 1 to 1000000 GB."),
    ("kept_empty", "Sisakan sedikitnya satu bagian.", "Keep at least one piece."),
    ("kept_too_many", "Paling banyak 100 bagian.", "At most 100 pieces."),
    ("kept_times", "Tulis dua waktu, misalnya 0:05 - 1:02.5.", "Write two times, such as 0:05 - 1:02.5."),
    (
        "kept_order",
        "Akhir sebuah bagian harus sesudah awalnya, dan awalnya sesudah bagian sebelumnya.",
        "A piece ends after it begins, and begins after the piece before.",
    ),
    ("kept_beyond", "Rekaman sudah berakhir sebelum ini.", "The recording ends before this."),
    ("chapters_too_many", "Paling banyak 200 bab.", "At most 200 chapters."),
    (
        "chapter_times",
        "Tulis waktu lalu judul, misalnya 1:02 Posisi duduk.",
        "Write a time, then a title, such as 1:02 Sitting up.",
    ),
    ("chapter_title", "Judul bab terdiri atas 1 sampai 200 karakter.", "A chapter's title has 1 to 200 characters."),
    ("chapter_twice", "Sudah ada bab pada waktu ini.", "There is another chapter at this time."),
    ("chapter_beyond", "Rekaman sudah berakhir sebelum bab ini.", "The recording ends before this chapter."),
    ("picture_time", "Tulis waktu dalam rekaman, misalnya 1:02.", "Write a time of the recording, such as 1:02."),
    ("in_trash", "Rekaman ini ada di tempat sampah. Kembalikan dahulu.", "It is in the trash. Restore it first."),
    ("not_recorded", "Siaran ini tidak direkam.", "It was not recorded."),
    ("captions_too_large", "Berkas teks paling besar 1 MB.", "A file of captions has at most 1 MB."),
    ("captions_too_many", "Paling banyak 20.000 teks.", "At most 20,000 captions."),
    ("captions_empty", "Tidak ada teks di dalamnya.", "There is no caption in it."),
    ("captions_no_header", "Berkas WebVTT diawali baris WEBVTT.", "A WebVTT file begins with the line WEBVTT."),
    (
        "captions_not_utf8",
        "Tulisan ini bukan UTF-8. Simpan berkasnya sebagai UTF-8.",
        "This is not UTF-8. Save the file as UTF-8.",
    ),
    (
        "captions_no_times",
        "Waktunya tidak ada. Contoh: 00:01:02.500 --> 00:01:04.000.",
        "The times are missing. They look like 00:01:02.500 --> 00:01:04.000.",
    ),
    (
        "captions_bad_times",
        "Waktunya tidak terbaca. Contoh: 00:01:02.500 --> 00:01:04.000.",
        "These times cannot be read. They look like 00:01:02.500 --> 00:01:04.000.",
    ),
    (
        "captions_bad_order",
        "Waktu selesai harus sesudah waktu mulai, dan sebelum 100 jam.",
        "A caption ends after it begins, and before 100 hours.",
    ),
    (
        "captions_not_apart",
        "Sebelum teks berikutnya perlu satu baris kosong.",
        "An empty line is missing before the next caption.",
    ),
    ("captions_language", "Pilih bahasanya.", "Choose the language."),
    (
        "too_many_languages",
        "Teks dalam bahasa lain sudah terlalu banyak. Hapus dulu salah satunya.",
        "There are captions in too many languages. Delete one first.",
    ),
    (
        "still_live",
        "Siaran ini masih mengudara. Tunggu sampai selesai.",
        "This broadcast is still on air. Wait until it has ended.",
    ),
    ("upload_empty", "Berkas ini kosong. Pilih berkas lain.", "This file is empty. Choose another one."),
    (
        "upload_too_large",
        "Berkas ini terlalu besar. Potong atau perkecil dulu.",
        "This file is too large. Cut it or make it smaller first.",
    ),
    (
        "too_many_uploads",
        "Terlalu banyak pengiriman yang belum selesai. Selesaikan atau hapus dulu salah satunya.",
        "Too many uploads are unfinished. Finish or delete one first.",
    ),
    (
        "upload_no_room",
        "Ruang di kotak siaran tidak cukup untuk berkas ini. Minta pengelola mengosongkan ruang.",
        "There is not enough room on the box for this file. Ask the admin to make room.",
    ),
    (
        "upload_unknown",
        "Pengiriman ini sudah tidak ada di kotak siaran. Kirim lagi dari awal.",
        "This upload is not on the box any more. Send the file again.",
    ),
    ("upload_busy", "Berkas ini sedang dikirim dari halaman lain.", "This file is being sent from another page."),
    (
        "upload_excess",
        "Berkas ini berubah selama dikirim. Batalkan, lalu kirim lagi.",
        "This file has changed while it was sent. Cancel, then send it again.",
    ),
    (
        "upload_stalled",
        "Lama tidak ada yang sampai. Periksa sambungan, lalu kirim lagi.",
        "Nothing came for a while. Check the connection and send it again.",
    ),
    (
        "upload_broken",
        "Sambungan terputus di tengah pengiriman. Kirim lagi.",
        "The connection broke while the file was sent. Send it again.",
    ),
    (
        "upload_metadata",
        "Nama berkas ini tidak dapat dipakai. Ganti namanya lebih dulu.",
        "The name of this file cannot be used. Rename it first.",
    ),
    ("no_room", "Ruang tidak cukup untuk merekam siaran ini.", "There is not enough room to record this broadcast."),
    (
        "import_no_room",
        "Ruang belum cukup untuk berkas ini. Ia dibaca begitu ada ruang.",
        "There is not enough room for this file. It is read in as soon as there is.",
    ),
    ("import_empty", "Berkas ini kosong.", "This file is empty."),
    (
        "import_no_media",
        "Berkas ini bukan video atau rekaman suara.",
        "This file is neither a video nor a sound recording.",
    ),
    (
        "import_unsupported",
        "Jenis video atau suara di dalamnya tidak dikenal, atau dikunci.",
        "The kind of video or sound in it is not known, or it is locked.",
    ),
    (
        "import_damaged",
        "Berkas ini rusak atau terpotong. Salin sekali lagi dari aslinya.",
        "This file is damaged or cut off. Copy it again from the original.",
    ),
    (
        "import_incomplete",
        "Berkas ini rusak atau terpotong: rekamannya berisi apa yang masih terbaca.",
        "This file is damaged or cut off: the recording has what could still be read.",
    ),
    ("import_too_long", "Berkas ini lebih dari 24 jam.", "This file is longer than 24 hours."),
    (
        "import_changed",
        "Berkas ini masih diubah selagi dibaca. Coba lagi setelah selesai disalin.",
        "This file was still being changed while it was read. Try again when it is copied in full.",
    ),
    ("import_gone", "Berkas ini tidak ada lagi atau tidak boleh dibaca.", "This file is gone, or may not be read."),
    ("import_crashed", "Pembaca berkas berhenti karena berkas ini.", "This file makes the program that reads it fail."),
    ("import_stalled", "Berkas ini tidak dapat dibaca sampai selesai.", "This file cannot be read to its end."),
    ("import_failed", "Berkas ini tidak dapat dibaca.", "This file cannot be read in."),
    (
        "import_running",
        "Rekaman ini masih dibuat dari berkas. Batalkan dulu di halaman Impor.",
        "This recording is still being made of a file. Cancel that first, under Imports.",
    ),
    (
        "ladder_crashed",
        "Pembuat gambar kecil berhenti karena rekaman ini.",
        "This recording makes the program fail that makes smaller pictures of it.",
    ),
    (
        "ladder_damaged",
        "Sebagian rekaman ini rusak di disk, jadi gambar kecil tidak dapat dibuat.",
        "A part of this recording is damaged on the disk, so smaller pictures cannot be made of it.",
    ),
    (
        "ladder_not_working",
        "Tidak ada gambar kecil yang sedang dibuat dari rekaman ini.",
        "No smaller pictures are being made of this recording.",
    ),
    (
        "ladder_not_failed",
        "Hanya yang gagal atau dibatalkan dapat dicoba lagi.",
        "Only what failed or was cancelled can be tried again.",
    ),
    ("import_over", "Berkas ini sudah selesai atau dibatalkan.", "This file is done or cancelled already."),
    (
        "import_not_refused",
        "Hanya berkas yang ditolak atau dibatalkan dapat dicoba lagi.",
        "Only a file that was refused or cancelled can be tried again.",
    ),
    (
        "camera_unavailable",
        "Kamera tidak dapat dibuka: periksa kabelnya, dan tutup program lain yang memakainya.",
        "The camera cannot be opened: check its cable, and close other programs that use it.",
    ),
    (
        "microphone_unavailable",
        "Mikrofon tidak dapat dibuka: periksa kabelnya, atau pilih mikrofon lain.",
        "The microphone cannot be opened: check its cable, or choose another one.",
    ),
    ("too_busy", "Kurangi pekerjaan lain di kotak siaran.", "Give the box less else to do."),
    ("too_hot", "Periksa lubang udaranya.", "See that air gets to it."),
    (
        "encoded_anew",
        "Gambar H.264 dari kamera ini tidak dapat diteruskan apa adanya, jadi dikodekan ulang.",
        "This camera's own H.264 cannot be passed on as it is, so it is encoded again.",
    ),
    (
        "missing_plugin",
        "Perangkat lunak di kotak siaran tidak lengkap. Minta pengelola memasangnya lagi.",
        "Software is missing on the box. Ask the admin to install it again.",
    ),
    (
        "no_encoder",
        "Tidak ada pengode H.264 yang bekerja di kotak siaran. Minta pengelola menjalankan: siaran check.",
        "No H.264 encoder works on the box. Ask the admin to run: siaran check.",
    ),
    (
        "unsupported_codec",
        "Pengirim memakai format lain. Atur ke H.264 dan AAC.",
        "The sender uses another format. Set it to H.264 and AAC.",
    ),
    (
        "no_video",
        "Pengirim tidak mengirim gambar. Periksa kamera dan pengaturannya.",
        "The sender sends no picture. Check its camera and its settings.",
    ),
    (
        "bad_media",
        "Yang dikirim tidak dapat dibaca. Mulai ulang pengirimnya.",
        "What is sent cannot be read. Restart the sender.",
    ),
    ("no_media", "Tidak ada gambar maupun suara di dalamnya.", "There is neither picture nor sound in it."),
    ("too_long", "Lebih dari 24 jam.", "It is longer than 24 hours."),
    ("cannot_pass", "Tidak dapat diteruskan apa adanya.", "It cannot be passed on as it is."),
    (
        "pipeline_failed",
        "Perekam gagal karena kesalahan di dalamnya. Rinciannya ada di catatan kotak siaran.",
        "The capture fails by a fault of its own. The log of the box has the details.",
    ),
    (
        "wrong_version",
        "Bagian-bagian program ini tidak seversi. Minta pengelola memulai ulang kotak siaran.",
        "The parts of this program are not of the same version. Ask the admin to restart the box.",
    ),
    (
        "worker_lost",
        "Perekam berhenti atau tidak menjawab. Rinciannya ada di catatan kotak siaran.",
        "The capture stopped or does not answer. The log of the box has the details.",
    ),
    ("last_admin", "Pengelola terakhir yang aktif harus tetap pengelola.", "The last active admin must stay an admin."),
    (
        "too_many_keys",
        "Kunci sudah terlalu banyak. Cabut dulu yang tidak dipakai.",
        "There are too many keys. Revoke one that is not used.",
    ),
    (
        "setup_closed",
        "Alamat ini sudah dipakai atau tidak berlaku lagi. Lihat alamat terbaru di terminal.",
        "This address has been used or is no longer valid. See the newest one on the console.",
    ),
    (
        "no_source",
        "Sumber ini tidak ada. Periksa sambungannya, lalu pilih lagi.",
        "This source is not there. Check its connection and choose again.",
    ),
    (
        "no_such_microphone",
        "Mikrofon ini tidak ada. Periksa sambungannya, atau pilih yang lain.",
        "This microphone is not there. Check its connection, or choose another one.",
    ),
    (
        "source_on_air",
        "Sumber ini sudah mengudara. Pilih sumber lain.",
        "This source is on air already. Choose another one.",
    ),
    (
        "disk_full",
        "Ruang penyimpanan habis. Minta pengelola mengosongkan ruang.",
        "The disk is full. Ask the admin to make room.",
    ),
    (
        "disk_error",
        "Penyimpanan kotak siaran rusak: tidak ada yang dapat disimpan. Hubungi pengelola.",
        "The disk of the box fails: nothing can be saved. Tell the admin.",
    ),
    (
        "not_saved_yet",
        "Siaran sudah berakhir, tetapi rekamannya belum dapat disimpan. Kotak siaran terus mencoba. Jangan matikan listriknya.",
        "The broadcast has ended, but its recording cannot be saved yet. The box keeps trying: leave it switched on.",
    ),
    (
        "database_read_only",
        "Penyimpanan kotak siaran tidak dapat ditulisi saat ini. Hubungi pengelola.",
        "Nothing can be saved on the box at the moment. Tell the admin.",
    ),
    (
        "csrf_failed",
        "Halaman ini terlalu lama terbuka. Muat ulang, lalu coba lagi. Bila tetap begini, izinkan kuki untuk situs ini.",
        "This page was open for too long. Reload it and try again. If it stays like this, allow cookies for this site.",
    ),
    (
        "not_signed_in",
        "Sesi Anda berakhir. Masuk lagi, lalu ulangi.",
        "Your session has ended. Sign in again and repeat this.",
    ),
    ("forbidden", "Akun Anda tidak boleh melakukan ini.", "Your account may not do this."),
    ("too_many_attempts", "Terlalu banyak percobaan. Tunggu sebentar.", "Too many attempts. Wait a moment."),
    (
        "database_locked",
        "Kotak siaran sedang sibuk dan tidak ada yang berubah. Coba lagi sebentar lagi.",
        "The box is busy and nothing has changed. Try again in a moment.",
    ),
];

impl Lang {
    /// What a field of a form is called on its page, by its name; none for what is no field of a person's.
    pub fn field_name(self, name: &str) -> Option<&'static str> {
        Some(match name {
            "title" => self.recording_title(),
            "description" => self.recording_description(),
            "tags" => self.recording_tags(),
            "audience" => self.studio_step_audience(),
            "hidden" => self.recording_hidden(),
            "pinned" => self.recording_pinned(),
            "username" => self.login_username(),
            "password" => self.login_password(),
            "password_again" => self.setup_password_again(),
            "role" => self.accounts_role(),
            "label" => self.keys_label(),
            "auto_live" => self.keys_when(),
            "source" => self.studio_step_source(),
            "microphone" => self.studio_microphone(),
            "content" => self.studio_content(),
            "pin" => self.pin_label(),
            "rule" => self.retention_title(),
            "days" => self.retention_field_days(),
            "quota_gb" => self.retention_field_quota(),
            "language" => self.captions_language(),
            "kept" => self.edit_kept(),
            "chapters" => self.edit_chapters(),
            "at" => self.edit_picture_at(),
            "lang" => self.language(),
            "q" => self.home_search(),
            _ => return None,
        })
    }

    /// The sentence for a refusal's word, if people are to read one.
    pub fn problem(self, code: &str) -> Option<&'static str> {
        let (_, id, en) = PROBLEMS.iter().find(|(word, ..)| *word == code)?;
        Some([*id, *en][self as usize])
    }

    /// All of them, for a script that calls the API.
    pub fn problems(self) -> BTreeMap<&'static str, &'static str> {
        PROBLEMS.iter().map(|(code, id, en)| (*code, [*id, *en][self as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::protocol::ErrorCode;

    #[test]
    fn whatever_a_worker_tells_has_its_sentence() {
        let codes: Vec<ErrorCode> = (0..u8::MAX).map_while(|number| postcard::from_bytes(&[number]).ok()).collect();
        assert!(codes.len() > 10 && codes.contains(&ErrorCode::Version), "{codes:?}");
        for word in codes.into_iter().map(ErrorCode::as_str).chain(["worker_lost"]) {
            for t in Lang::ALL {
                assert!(t.problem(word).is_some(), "{word}");
            }
        }
    }

    #[test]
    fn each_word_has_one_sentence() {
        for (at, (word, ..)) in PROBLEMS.iter().enumerate() {
            assert!(PROBLEMS[at + 1..].iter().all(|(other, ..)| other != word), "{word}");
        }
    }
}
