//! Texts of the page that sends files. What stands in braces is filled in by the page's script.

use super::{phrases, texts};

texts! {
    studio_tab_upload = "Unggah", "Upload";
    upload_title = "Unggah video", "Upload videos";
    upload_lead = "Video atau rekaman suara dari ponsel, kamera, atau USB. Setelah sampai, berkas dibaca lalu muncul di antara rekaman.",
        "Videos or sound from a phone, a camera or a USB stick. Once a file has arrived, it is read in and appears among the recordings.";
    upload_choose = "Pilih berkas", "Choose files";
    upload_choose_one = "Berkas", "File";
    upload_drop = "atau seret ke sini", "or drop them here";
    upload_send = "Kirim berkas", "Send the file";
    upload_no_script = "Tanpa JavaScript, satu berkas dikirim sekaligus. Biarkan halaman ini terbuka sampai selesai.",
        "Without JavaScript, one file is sent in one go. Keep this page open until it is done.";
    upload_list = "Berkas yang dikirim", "Files being sent";
    upload_bar = "Bagian yang sudah sampai", "How much has arrived";
    upload_again = "Pilih berkas yang sama lagi untuk melanjutkan.", "Choose the same file again to go on.";
    upload_delete = "Hapus", "Delete";
    upload_delete_text = "Bagian yang sudah sampai dihapus dari kotak siaran. Berkas di perangkat Anda tetap ada.",
        "What has arrived is deleted from the box. The file on your device stays.";
    upload_delete_sure = "Ya, hapus", "Yes, delete it";

    upload_pause = "Jeda", "Pause";
    upload_resume = "Lanjutkan", "Resume";
    upload_retry = "Coba lagi", "Try again";
    upload_cancel = "Batalkan", "Cancel";
    upload_keep = "Teruskan", "Keep sending";
    upload_cancel_sure = "Batalkan pengiriman", "Cancel the upload";
    upload_waiting = "Menunggu giliran", "Waiting its turn";
    upload_starting = "Menyiapkan…", "Preparing…";
    upload_paused = "Dijeda", "Paused";
    upload_lost = "Sambungan terputus. Dilanjutkan sendiri begitu tersambung lagi.",
        "The connection is lost. It goes on by itself when it is back.";
    upload_failed = "Pengiriman gagal. Coba lagi; bila tetap gagal, beri tahu pengelola.",
        "The upload has failed. Try again; if it fails again, tell the admin.";
    upload_done = "Sudah sampai. Muncul di antara rekaman setelah selesai dibaca.",
        "It has arrived, and appears among the recordings once it is read in.";
    upload_speed = "{speed} per detik", "{speed} a second";
    upload_left_soon = "kurang dari semenit lagi", "less than a minute left";
    upload_left_minute = "sekitar semenit lagi", "about a minute left";
    upload_left_minutes = "sekitar {minutes} menit lagi", "about {minutes} minutes left";
    upload_left_hours = "sekitar {hours} jam {minutes} menit lagi", "about {hours} h {minutes} min left";

    done_uploaded = "Berkas sudah sampai. Muncul di antara rekaman setelah selesai dibaca.",
        "The file has arrived, and appears among the recordings once it is read in.";
    done_upload_deleted = "Pengiriman yang belum selesai dihapus.", "The unfinished upload is deleted.";
    act_upload_begin = "Mulai mengunggah berkas", "Began to upload a file";
}

phrases! {
    upload_most(size: &str) =
        format!("Paling besar {size} per berkas. Bila sambungan terputus, pengiriman dilanjutkan dari tempat terhenti."),
        format!("Up to {size} each. If the connection breaks, sending goes on where it stopped.");
    upload_progress(arrived: &str, total: &str) = format!("{arrived} dari {total}"), format!("{arrived} of {total}");
    upload_question(name: &str) = format!("Batalkan pengiriman “{name}”?"), format!("Cancel the upload of “{name}”?");
    upload_expires(when: &str) = format!("Dihapus {when} bila belum selesai."), format!("Removed {when} unless it is finished.");
}
