//! Texts of captions, and the languages that they are offered in.

use super::{phrases, texts};

/// Tag and own name, those of most patients first.
pub const LANGUAGES: [(&str, &str); 14] = [
    ("id", "Bahasa Indonesia"),
    ("en", "English"),
    ("jv", "Basa Jawa"),
    ("su", "Basa Sunda"),
    ("mad", "Bhâsa Madhurâ"),
    ("min", "Baso Minangkabau"),
    ("bew", "Basè Betawi"),
    ("bug", "Basa Ugi"),
    ("ban", "Basa Bali"),
    ("bjn", "Bahasa Banjar"),
    ("ace", "Bahsa Acèh"),
    ("ms", "Bahasa Melayu"),
    ("zh", "中文"),
    ("ar", "العربية"),
];

/// A language's own name; of others than those offered, the tag.
pub fn own_name(tag: &str) -> &str {
    LANGUAGES.iter().find(|(known, _)| *known == tag).map_or(tag, |(_, name)| name)
}

texts! {
    captions_title = "Teks", "Captions";
    captions_lead = "Tulisan dari apa yang diucapkan. Penonton menyalakannya di pemutar, dan pencarian menemukannya.",
        "What is said, in writing. Viewers turn it on in the player, and the search finds it.";
    captions_none = "Belum ada teks.", "There are no captions yet.";
    captions_add = "Tambah teks", "Add captions";
    captions_add_title = "Tambah teks", "Add captions";
    captions_edit = "Ubah", "Edit";
    captions_delete = "Hapus", "Delete";
    captions_delete_sure = "Ya, hapus teks ini", "Yes, delete these captions";
    captions_language = "Bahasa", "Language";
    captions_file = "Berkas", "File";
    captions_file_hint = "WebVTT (.vtt) atau SubRip (.srt), paling besar 1 MB. Berkas menggantikan tulisan di bawah ini.",
        "WebVTT (.vtt) or SubRip (.srt), at most 1 MB. A file takes the place of the text below.";
    captions_text = "Tulisan", "Text";
    captions_text_hint = "Setiap teks: waktu mulai dan selesai, lalu tulisannya, lalu satu baris kosong.",
        "Each caption: when it begins and ends, then what it says, then an empty line.";
    captions_off = "Tanpa teks", "No captions";
    captions_on = "Nyalakan teks", "Turn captions on";
    captions_turn_off = "Matikan teks", "Turn captions off";
    done_captions = "Teks disimpan.", "The captions are saved.";
    done_captions_deleted = "Teks dihapus.", "The captions were deleted.";
    act_captions_put = "Menyimpan teks", "Saved captions";
    act_captions_delete = "Menghapus teks", "Deleted captions";
}

phrases! {
    captions_edit_title(language: &str) = format!("Teks: {language}"), format!("Captions: {language}");
    captions_count(cues: u64) = format!("{cues} teks"), format!("{cues} {}", if cues == 1 { "caption" } else { "captions" });
    captions_delete_text(language: &str) =
        format!("Teks {language} akan hilang selamanya."), format!("The captions in {language} will be gone for good.");
    captions_at_line(line: usize, what: &str) = format!("Baris {line}: {what}"), format!("Line {line}: {what}");
    card_said(time: &str, words: &str) = format!("{time} “{words}”"), format!("{time} “{words}”");
}
