//! Texts of files that are read in.

use super::{phrases, texts};

texts! {
    admin_tab_imports = "Impor", "Imports";
    imports_title = "Impor", "Imports";
    imports_lead = "Unggah berkas video atau suara, atau salin ke folder “import” di data siaran. Setiap berkas menjadi rekaman, mula-mula hanya untuk petugas.",
        "Upload video or sound files, or copy them into the folder “import” of siaran’s data. Each becomes a recording, for staff alone at first.";
    imports_none = "Belum ada berkas.", "There have been no files yet.";
    imports_refresh = "Muat ulang", "Refresh";
    imports_waiting = "Menunggu", "Waiting";
    imports_working = "Sedang dibaca", "Being read in";
    imports_done = "Selesai", "Done";
    imports_refused = "Ditolak", "Refused";
    imports_cancelled = "Dibatalkan", "Cancelled";
    imports_cancel = "Batalkan", "Cancel";
    imports_retry = "Coba lagi", "Try again";
    imports_audience = "Atur siapa yang boleh menonton", "Say who may watch";
    done_import_cancelled = "Berkas dibatalkan. Berkasnya masih ada dan dapat dicoba lagi.",
        "The file was given up. It is kept, and can be tried again.";
    done_import_retried = "Berkas dicoba lagi.", "The file is tried again.";
    act_import_cancel = "Membatalkan impor", "Cancelled an import";
    act_import_retry = "Mencoba lagi impor", "Tried an import again";
    ladder_title = "Gambar kecil", "Smaller pictures";
    ladder_hint = "Untuk ponsel dengan sambungan lambat. Dibuat dari rekaman ini ketika tidak ada siaran.",
        "For phones on slow connections. They are made of this recording while nothing is on air.";
    ladder_done = "Selesai", "Done";
    ladder_failed = "Tidak dapat dibuat", "They cannot be made";
    ladder_cancelled = "Dibatalkan", "Given up";
    ladder_cancel = "Batalkan", "Give up";
    ladder_retry = "Coba lagi", "Try again";
    done_ladder_cancelled = "Gambar kecil tidak dibuat lagi.", "Smaller pictures are not made any more.";
    done_ladder_retried = "Gambar kecil dicoba lagi.", "Smaller pictures are tried again.";
    act_ladder_cancel = "Membatalkan gambar kecil", "Gave up smaller pictures";
    act_ladder_retry = "Mencoba lagi gambar kecil", "Tried smaller pictures again";
}

phrases! {
    ladder_progress(percent: u32) = format!("Sedang dibuat: {percent} %"), format!("Being made: {percent} %");
    imports_progress(percent: u32) = format!("{percent} %"), format!("{percent} %");
}
