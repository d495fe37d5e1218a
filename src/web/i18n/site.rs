//! Texts of every page, the home page, signing in, setting up, and errors.

use super::{phrases, texts};

impl super::Lang {
    // A unit is (one, many).
    pub(super) fn unit_second(self) -> (&'static str, &'static str) {
        [("detik", "detik"), ("second", "seconds")][self as usize]
    }
    pub(super) fn unit_minute(self) -> (&'static str, &'static str) {
        [("menit", "menit"), ("minute", "minutes")][self as usize]
    }
    pub(super) fn unit_hour(self) -> (&'static str, &'static str) {
        [("jam", "jam"), ("hour", "hours")][self as usize]
    }
    pub(super) fn unit_day(self) -> (&'static str, &'static str) {
        [("hari", "hari"), ("day", "days")][self as usize]
    }
    pub(super) fn unit_month(self) -> (&'static str, &'static str) {
        [("bulan", "bulan"), ("month", "months")][self as usize]
    }
    pub(super) fn unit_year(self) -> (&'static str, &'static str) {
        [("tahun", "tahun"), ("year", "years")][self as usize]
    }
}

texts! {
    just_now = "baru saja", "just now";
    weekdays = "Senin Selasa Rabu Kamis Jumat Sabtu Minggu", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday";
    months = "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
        "January February March April May June July August September October November December";

    skip_to_content = "Langsung ke isi", "Skip to content";
    main_navigation = "Menu utama", "Main menu";
    nav_home = "Beranda", "Home";
    nav_studio = "Studio", "Studio";
    nav_admin = "Kelola", "Manage";
    nav_sign_in = "Masuk", "Sign in";
    nav_sign_out = "Keluar", "Sign out";
    language = "Bahasa", "Language";
    licences = "Lisensi perangkat lunak", "Software licences";
    made_for = "Video penyuluhan klinik, langsung dan rekaman.", "The clinic’s health talks, live and recorded.";
    live = "Langsung", "Live";
    cancel = "Batal", "Cancel";
    save = "Simpan", "Save";
    optional = "boleh kosong", "optional";

    audience_public = "Semua orang", "Everyone";
    audience_pin = "Dengan PIN", "With a PIN";
    audience_members = "Anggota", "Members";
    audience_staff = "Staf saja", "Staff only";
    audience_public_hint = "Siapa pun di Wi-Fi klinik, tanpa akun.", "Anyone on the clinic’s Wi-Fi, no account.";
    audience_pin_hint = "Siapa pun yang tahu PIN enam angka.", "Anyone who knows the six-digit PIN.";
    audience_members_hint = "Siapa pun yang punya akun.", "Anyone who has an account.";
    audience_staff_hint = "Hanya petugas dan pengelola.", "Only broadcasters and admins.";

    home_title = "Siaran dan rekaman", "Broadcasts and recordings";
    home_watch_live = "Tonton siaran langsung", "Watch live";
    home_next = "Berikutnya", "Coming up";
    home_library = "Rekaman", "Recordings";
    home_search = "Cari rekaman", "Search recordings";
    home_search_button = "Cari", "Search";
    home_topics = "Topik", "Topics";
    home_all_topics = "Semua", "All";
    home_more = "Tampilkan yang lebih lama", "Show older ones";
    home_empty = "Belum ada rekaman. Siaran pertama akan muncul di sini begitu selesai.",
        "No recordings yet. The first broadcast appears here the moment it ends.";
    home_begin = "Mulai siaran pertama", "Begin the first broadcast";
    home_nothing_hint = "Coba kata lain yang lebih pendek, atau lihat semua rekaman.", "Try another, shorter word, or see all recordings.";
    home_show_all = "Lihat semua rekaman", "See all recordings";
    card_starting = "Segera mulai", "Starting soon";
    card_captioned = "Dengan teks", "With captions";
    card_no_picture = "Tanpa gambar kecil", "No thumbnail";

    login_title = "Masuk", "Sign in";
    login_lead = "Untuk petugas, pengelola, dan anggota. Menonton siaran umum tidak perlu akun.",
        "For broadcasters, admins and members. Watching public broadcasts needs no account.";
    login_username = "Nama pengguna", "Username";
    login_password = "Kata sandi", "Password";
    login_button = "Masuk", "Sign in";
    login_wrong = "Nama pengguna atau kata sandi tidak cocok. Periksa lalu coba lagi.",
        "The username and password do not match. Check them and try again.";
    login_expired = "Halaman ini terlalu lama terbuka. Silakan coba sekali lagi.", "This page was open for too long. Please try once more.";
    login_forgotten = "Lupa kata sandi? Pengelola klinik dapat memberi yang baru.",
        "Forgotten your password? The clinic’s admin can give you a new one.";

    setup_title = "Siapkan siaran", "Set up siaran";
    setup_wait_title = "Hampir siap", "Almost ready";
    setup_wait_lead = "Kotak ini belum punya pengelola. Demi keamanan, akun pertama hanya bisa dibuat dengan alamat sekali pakai.",
        "This box has no admin yet. To keep it safe, the first account can be made only with a one-time address.";
    setup_wait_step1 = "Buka layar atau jendela terminal tempat siaran dijalankan.", "Look at the console where siaran was started.";
    setup_wait_step2 = "Cari baris yang diawali “setup” dan buka alamatnya di peramban.",
        "Find the line that begins with “setup” and open its address in a browser.";
    setup_wait_step3 = "Atau buat akun dari terminal dengan perintah ini:", "Or make the account from a terminal with this command:";
    setup_form_lead = "Buat akun pengelola pertama. Akun ini dapat membuat akun lain.",
        "Make the first admin account. It can make the others.";
    setup_password_hint = "Sedikitnya 10 karakter. Beberapa kata yang mudah Anda ingat lebih baik daripada satu kata yang rumit.",
        "At least 10 characters. A few words that you remember are better than one complicated word.";
    setup_password_again = "Kata sandi sekali lagi", "Password once more";
    setup_button = "Buat akun dan mulai", "Make the account and begin";

    error_back_home = "Kembali ke beranda", "Back to the home page";
    error_sign_in = "Masuk dengan akun", "Sign in with an account";
    error_try_again = "Coba lagi", "Try again";
    error_not_found_title = "Halaman tidak ada", "There is no such page";
    error_not_found = "Alamat ini tidak ada di sini, atau rekamannya sudah dihapus. Periksa alamatnya, atau cari di beranda.",
        "This address does not exist here, or its recording has been removed. Check the address, or look on the home page.";
    error_forbidden_title = "Bukan untuk akun ini", "Not for this account";
    error_forbidden = "Akun Anda tidak boleh membuka halaman ini. Minta pengelola memberi izin, atau masuk dengan akun lain.",
        "Your account may not open this page. Ask an admin for permission, or sign in with another account.";
    error_unauthorized_title = "Silakan masuk dulu", "Please sign in first";
    error_unauthorized = "Halaman ini hanya untuk yang punya akun.", "This page is only for people with an account.";
    error_server_title = "Ada yang salah di pihak kami", "Something went wrong on our side";
    error_server = "Permintaan Anda tidak terlaksana dan tidak ada yang berubah. Coba lagi sebentar lagi; bila tetap begini, beri tahu pengelola.",
        "Your request was not carried out and nothing has changed. Try again in a moment; if it stays like this, tell the admin.";
    error_throttled_title = "Terlalu banyak percobaan", "Too many attempts";
    error_refused_title = "Belum dapat dilakukan", "That could not be done";
    error_bad_request_title = "Permintaan tidak dapat dipahami", "The request could not be understood";
    error_bad_request = "Ada isian yang tidak sah. Kembali, periksa isiannya, lalu kirim lagi.",
        "Something that was sent is not valid. Go back, check the fields and send again.";

    field_pin_wrong = "PIN ini tidak cocok. Tanyakan kepada petugas.", "This PIN does not match. Ask the staff.";
}

phrases! {
    time_ago(time: &str) = format!("{time} lalu"), format!("{time} ago");
    time_ahead(time: &str) = format!("{time} lagi"), format!("in {time}");
    date_line(weekday: &str, day: i8, month: &str, year: i16, hour: i8, minute: i8) =
        format!("{weekday}, {day} {month} {year} pukul {hour:02}.{minute:02}"),
        format!("{weekday}, {day} {month} {year} at {hour:02}:{minute:02}");
    viewers(n: u64) =
        if n == 0 { "belum ada penonton".to_owned() } else { format!("{n} penonton") },
        match n { 0 => "no one watching yet".to_owned(), 1 => "1 watching".to_owned(), n => format!("{n} watching") };
    live_since(time: &str) = format!("Mulai {time}"), format!("Began {time}");
    home_results(n: usize, query: &str) = format!("{n} rekaman untuk “{query}”"),
        format!("{n} {} for “{query}”", if n == 1 { "recording" } else { "recordings" });
    home_nothing(query: &str) = format!("Tidak ada rekaman untuk “{query}”."), format!("No recordings for “{query}”.");
    card_length(length: &str) = format!("Durasi {length}"), format!("Length {length}");
    signed_in_as(name: &str) = format!("Masuk sebagai {name}"), format!("Signed in as {name}");
    error_at(field: &str, words: &str) = format!("{field}: {words}"), format!("{field}: {words}");
    error_throttled(wait: &str) = format!("Demi keamanan, tunggu {wait} sebelum mencoba lagi."),
        format!("To keep accounts safe, wait {wait} before you try again.");
    login_throttled(wait: &str) = format!("Terlalu banyak percobaan. Tunggu {wait} lalu coba lagi."),
        format!("Too many attempts. Wait {wait} and try again.");
}
