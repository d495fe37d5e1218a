//! Texts of the admin pages.

use super::{phrases, texts};

texts! {
    admin_title = "Kelola", "Manage";
    admin_tabs = "Bagian pengelolaan", "Parts of management";
    admin_tab_overview = "Ringkasan", "Overview";
    admin_tab_recordings = "Rekaman", "Recordings";
    admin_tab_accounts = "Akun", "Accounts";
    admin_tab_trash = "Sampah", "Trash";
    admin_storage = "Ruang penyimpanan", "Storage";
    admin_storage_recordings = "Rekaman", "Recordings";
    admin_storage_trash = "Sampah", "Trash";
    admin_storage_thumbnails = "Gambar mini", "Thumbnails";
    admin_storage_other = "Lainnya", "Other";
    admin_storage_free = "Kosong", "Free";
    admin_storage_full = "Ruang habis. Kosongkan sampah atau hapus rekaman lama.",
        "There is no room left. Empty the trash or delete old recordings.";
    admin_numbers = "Angka", "Numbers";
    admin_count_recordings = "Rekaman", "Recordings";
    admin_count_length = "Seluruh durasi", "Total length";
    admin_count_accounts = "Akun aktif", "Active accounts";
    admin_count_live = "Sedang mengudara", "On air now";
    admin_recent = "Kegiatan terakhir", "Recent activity";
    admin_recent_none = "Belum ada kegiatan.", "Nothing has happened yet.";
    admin_by = "oleh", "by";

    retention_title = "Berapa lama rekaman disimpan", "How long recordings are kept";
    retention_until_short = "Sampai ruang hampir habis", "Until room is short";
    retention_until_short_hint = "Baru kemudian rekaman terlama dihapus.", "Only then the oldest recordings are deleted.";
    retention_rule_days = "Paling lama beberapa hari", "A number of days at most";
    retention_rule_days_hint = "Yang lebih lama dihapus; bila ruang habis, yang terlama dihapus lebih awal.",
        "What is older is deleted; when room is short, the oldest go earlier.";
    retention_rule_quota = "Sampai ukuran tertentu", "Up to a size";
    retention_rule_quota_hint = "Bila semua rekaman melebihi ukuran ini, yang terlama dihapus.",
        "When all recordings together are larger, the oldest are deleted.";
    retention_field_days = "Hari", "Days";
    retention_field_quota = "GB", "GB";
    retention_always = "Isi sampah dihapus lebih dulu. Yang disematkan, yang sedang mengudara, dan rekaman satu jam terakhir tidak pernah dihapus sendiri.",
        "The trash goes first. What is pinned, on air or of the last hour is never deleted by itself.";

    role_admin = "Pengelola", "Admin";
    role_broadcaster = "Petugas siaran", "Broadcaster";
    role_viewer = "Anggota", "Viewer";
    role_admin_hint = "Semua hal, termasuk akun dan sampah.", "Everything, accounts and trash included.";
    role_broadcaster_hint = "Menyiarkan dan menonton.", "Broadcasts and watches.";
    role_viewer_hint = "Menonton siaran untuk anggota.", "Watches what is for members.";

    accounts_title = "Akun", "Accounts";
    accounts_new = "Buat akun", "Make an account";
    accounts_role = "Peran", "Role";
    accounts_disabled = "Dinonaktifkan", "Disabled";
    accounts_you = "Anda", "You";
    accounts_change = "Ubah", "Change";
    accounts_change_role = "Simpan peran", "Save the role";
    accounts_new_password = "Kata sandi baru", "New password";
    accounts_set_password = "Ganti kata sandi", "Set the password";
    accounts_set_password_hint = "Semua sesi akun ini langsung berakhir.", "Every session of this account ends at once.";
    accounts_disable = "Nonaktifkan", "Disable";
    accounts_disable_hint = "Tidak dapat masuk lagi sampai diaktifkan kembali; kunci siarannya berhenti berlaku.",
        "Cannot sign in until enabled again; its stream keys stop working.";
    accounts_enable = "Aktifkan kembali", "Enable again";
    accounts_delete = "Hapus akun", "Delete the account";
    accounts_delete_sure = "Ya, hapus akun ini", "Yes, delete this account";
    accounts_last_admin = "Ini pengelola terakhir yang aktif, jadi tidak dapat dihapus, dinonaktifkan, atau diberi peran lain.",
        "This is the last active admin, so it can be neither deleted, disabled nor given another role.";

    recordings_title = "Rekaman", "Recordings";
    recordings_none = "Belum ada rekaman.", "There are no recordings yet.";
    recordings_hidden = "Disembunyikan", "Hidden";
    recordings_pinned = "Disematkan", "Pinned";
    recordings_unrecorded = "Tidak direkam", "Not recorded";
    recordings_edit = "Ubah", "Edit";
    recordings_trash = "Buang", "Delete";
    recordings_trash_sure = "Ya, pindahkan ke sampah", "Yes, move it to the trash";
    recordings_live = "Sedang mengudara", "On air";
    recording_edit_title = "Ubah rekaman", "Edit the recording";
    recording_title = "Judul", "Title";
    recording_description = "Keterangan", "Description";
    recording_tags = "Topik", "Topics";
    recording_tags_hint = "Pisahkan dengan koma, misalnya: Kehamilan, Gizi", "Separate with commas, such as: Pregnancy, Nutrition";
    recording_hidden = "Sembunyikan dari beranda", "Hide from the home page";
    recording_hidden_hint = "Yang tahu alamatnya masih dapat menonton.", "Those who know the address can still watch.";
    recording_pinned = "Sematkan", "Pin";
    recording_pinned_hint = "Tidak pernah dihapus sendiri, juga bila ruang habis.", "Never deleted by itself, even when room is short.";
    recording_watch = "Tonton", "Watch";

    trash_title = "Sampah", "Trash";
    trash_lead = "Yang dibuang dapat dikembalikan dari sini.", "What was deleted can be restored from here.";
    trash_none = "Sampah kosong.", "The trash is empty.";
    trash_restore = "Kembalikan", "Restore";
    trash_empty = "Kosongkan sampah", "Empty the trash";
    trash_empty_sure = "Ya, hapus semuanya selamanya", "Yes, delete it all for good";
    trash_delete = "Hapus selamanya", "Delete for good";
    trash_delete_sure = "Ya, hapus selamanya", "Yes, delete for good";
}

phrases! {
    act_on(what: &str, subject: &str) = format!("{what}: {subject}"), format!("{what}: {subject}");
    admin_hours_left(hours: u64) = format!("Cukup untuk {hours} jam siaran lagi."),
        format!("Enough for {hours} more {}.", if hours == 1 { "hour" } else { "hours" });
    admin_minutes_left(minutes: u64) = format!("Cukup untuk {minutes} menit siaran lagi."), format!("Enough for {minutes} more minutes.");
    admin_storage_bar(used: &str, total: &str) = format!("{used} dari {total} terpakai"), format!("{used} of {total} used");
    accounts_made(when: &str) = format!("Dibuat {when}"), format!("Made {when}");
    accounts_delete_text(name: &str) =
        format!("Akun “{name}”, sesi, dan kunci siarannya dihapus. Rekaman tetap ada. Ini tidak dapat dibatalkan."),
        format!("The account “{name}”, its sessions and its stream keys will be gone. Recordings stay. This cannot be undone.");
    recordings_trash_text(title: &str) =
        format!("“{title}” tidak dapat ditonton lagi, tetapi dapat dikembalikan dari sampah."),
        format!("“{title}” can no longer be watched, but can be restored from the trash.");
    admin_untouched(time: &str) = format!("{time} sebelum rekaman lama perlu dihapus."), format!("{time} before old recordings have to go.");
    trash_empty_text(count: usize, size: &str) =
        format!("{count} rekaman ({size}) akan hilang selamanya dan tidak dapat dikembalikan."),
        format!("{count} {} ({size}) will be gone for good and cannot be restored.", if count == 1 { "recording" } else { "recordings" });
    trash_since(when: &str) = format!("Dibuang {when}"), format!("Deleted {when}");
    trash_gone(when: &str) = format!("hilang selamanya {when}"), format!("gone for good {when}");
    trash_delete_text(title: &str, size: &str) =
        format!("“{title}” ({size}) akan hilang selamanya dan tidak dapat dikembalikan."),
        format!("“{title}” ({size}) will be gone for good and cannot be restored.");
    trash_holds(size: &str) = format!("{size} menjadi kosong bila semuanya dihapus."), format!("Deleting it all frees {size}.");
    done_account_made(name: &str) = format!("Akun “{name}” dibuat."), format!("The account “{name}” was made.");
    done_restored(title: &str) = format!("“{title}” dikembalikan."), format!("“{title}” was restored.");
}

texts! {
    done_saved = "Perubahan disimpan.", "Your changes are saved.";
    done_trashed = "Dipindahkan ke sampah. Dapat dikembalikan kapan saja.", "Moved to the trash. It can be restored.";
    done_emptied = "Sampah dikosongkan.", "The trash was emptied.";
    done_deleted = "Dihapus selamanya.", "Deleted for good.";
    done_password = "Kata sandi diganti.", "The password was changed.";
    done_disabled = "Akun dinonaktifkan.", "The account is disabled.";
    done_enabled = "Akun aktif kembali.", "The account is enabled again.";
    done_account_deleted = "Akun dihapus.", "The account was deleted.";
    done_key_revoked = "Kunci dicabut.", "The key was revoked.";
    done_signed_out = "Anda sudah keluar.", "You are signed out.";
}

texts! {
    act_account_create = "Membuat akun", "Made an account";
    act_account_update = "Mengubah akun", "Changed an account";
    act_account_delete = "Menghapus akun", "Deleted an account";
    act_key_create = "Membuat kunci siaran", "Made a stream key";
    act_key_revoke = "Mencabut kunci siaran", "Revoked a stream key";
    act_broadcast_edit = "Mengubah rekaman", "Edited a recording";
    act_broadcast_trash = "Membuang rekaman ke sampah", "Moved a recording to the trash";
    act_broadcast_restore = "Mengembalikan rekaman", "Restored a recording";
    act_broadcast_delete = "Menghapus rekaman selamanya", "Deleted a recording for good";
    act_purge_trash_over = "Menghapus sendiri: waktunya di sampah habis", "Deleted by itself: its time in the trash was over";
    act_purge_room_short = "Menghapus sendiri rekaman terlama: ruang hampir habis", "Deleted the oldest recording by itself: room was short";
    act_purge_too_old = "Menghapus sendiri: melewati batas hari", "Deleted by itself: older than the rule keeps";
    act_purge_over_quota = "Menghapus sendiri rekaman terlama: melewati batas ukuran", "Deleted the oldest recording by itself: over the size";
    act_recording_damaged = "Menemukan rekaman yang rusak: pulihkan dari cadangan", "Found a damaged recording: restore it from a backup";
    act_retention_set = "Mengubah lama penyimpanan rekaman", "Changed how long recordings are kept";
    done_account = "Akun dibuat.", "The account was made.";
    done_back = "Rekaman dikembalikan.", "The recording was restored.";
}
