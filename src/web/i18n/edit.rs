//! Texts of the page that edits a recording, and of chapters. What stands in braces is filled in by the page's script.

use super::{phrases, texts};

texts! {
    edit_title = "Potong dan beri bab", "Cut and mark chapters";
    edit_lead = "Tidak ada yang hilang: yang dipotong hanya tidak ditayangkan, dan dapat dikembalikan kapan saja.",
        "Nothing is lost: what is cut out is only not shown, and can be brought back at any time.";
    edit_open = "Potong, bab, gambar sampul", "Cut, chapters, picture";
    edit_player = "Seluruh rekaman", "The whole recording";
    edit_line = "Garis waktu", "Time line";
    edit_now = "{time} dari {whole}, {state}", "{time} of {whole}, {state}";
    edit_now_kept = "ditayangkan", "shown";
    edit_now_cut = "dipotong", "cut out";
    edit_left = "Yang ditayangkan: {time}", "Shown: {time}";
    edit_tools = "Alat potong", "Tools";
    edit_begin = "Mulai di sini", "Begin here";
    edit_end = "Selesai di sini", "End here";
    edit_cut_from = "Potong mulai di sini", "Cut out from here";
    edit_cut_to = "… sampai di sini", "… to here";
    edit_put_back = "Kembalikan potongan ini", "Put this piece back";
    edit_chapter = "Bab di sini", "Chapter here";
    edit_picture = "Pakai gambar ini", "Use this picture";
    edit_undo = "Urungkan", "Undo";
    edit_redo = "Ulangi", "Redo";
    edit_back = "Mundur 1 detik", "Back 1 second";
    edit_forward = "Maju 1 detik", "Forward 1 second";
    edit_keys = "Tombol: I mulai di sini, O selesai di sini, X potong dari … sampai, R kembalikan, C bab, panah 1 detik, koma dan titik 0,1 detik, Ctrl+Z urungkan.",
        "Keys: I begin here, O end here, X cut out from … to, R put back, C chapter, arrows 1 second, comma and full stop 0.1 second, Ctrl+Z undo.";
    edit_kept = "Yang ditayangkan", "What is shown";
    edit_kept_hint = "Satu bagian tiap baris, dari dan sampai, misalnya 0:05 - 1:02.5. Bagian dimulai pada gambar utuh terdekat, biasanya dalam setengah detik.",
        "One piece a line, from and to, such as 0:05 - 1:02.5. A piece begins at the nearest whole picture, mostly within half a second.";
    edit_chapters = "Bab", "Chapters";
    edit_chapters_hint = "Satu bab tiap baris, waktu lalu judul, misalnya 1:02 Posisi duduk. Waktu dihitung pada seluruh rekaman.",
        "One chapter a line, time and title, such as 1:02 Sitting up. Times count on the whole recording.";
    edit_save = "Simpan", "Save";
    edit_watch = "Lihat hasilnya", "See the result";
    edit_whole = "Kembali ke rekaman asli", "Back to the original";
    edit_whole_text = "Semua yang dipotong ditayangkan lagi. Bab tetap ada.", "All that was cut out is shown again. Chapters stay.";
    edit_whole_sure = "Ya, tayangkan semuanya", "Yes, show all of it";
    edit_picture_title = "Gambar sampul", "Picture";
    edit_picture_at = "Waktu gambar", "Time of the picture";
    edit_picture_hint = "Gambar utuh terakhir sebelum waktu ini pada seluruh rekaman.",
        "The last whole picture before this time of the whole recording.";
    edit_picture_use = "Pakai gambar ini", "Use this picture";
    edit_picture_making = "Gambar sedang dibuat…", "The picture is being made…";
    edit_picture_done = "Gambar sampul diganti.", "The picture was changed.";
    edit_failed = "Tidak berhasil. Coba lagi.", "That did not work. Try again.";
    edit_said_begin = "Mulai pada {time}.", "Begins at {time}.";
    edit_said_end = "Selesai pada {time}.", "Ends at {time}.";
    edit_said_from = "Potongan dimulai pada {time}. Pilih akhirnya.", "The cut begins at {time}. Choose its end.";
    edit_said_cut = "Dipotong dari {from} sampai {to}.", "Cut out from {from} to {to}.";
    edit_said_back = "Dikembalikan.", "Put back.";
    edit_said_chapter = "Bab pada {time}. Tulis judulnya.", "Chapter at {time}. Write its title.";
    edit_said_nothing = "Tidak akan ada yang tersisa.", "Nothing would be left.";
    edit_said_undone = "Diurungkan.", "Undone.";
    edit_said_redone = "Diulangi.", "Done again.";
    edit_new_chapter = "Bab", "Chapter";
    done_edited = "Tersimpan. Begini yang ditayangkan sekarang.", "Saved. This is what is shown now.";
    done_whole = "Seluruh rekaman ditayangkan lagi.", "All of the recording is shown again.";
    done_picture = "Gambar sampul diganti.", "The picture was changed.";
    act_recording_edit = "Memotong rekaman atau mengubah babnya", "Cut a recording or changed its chapters";
    act_recording_unedit = "Mengembalikan rekaman asli", "Brought back the original recording";
    act_recording_picture = "Mengganti gambar sampul", "Changed a recording's picture";
    watch_chapters = "Bab", "Chapters";
}

phrases! {
    edit_lengths(shown: &str, whole: &str) = format!("Ditayangkan {shown} dari {whole}."),
        format!("{shown} of {whole} is shown.");
}
