//! Every page with sample data: proves that each template renders in both languages, and writes the pages to
//! `SIARAN_PAGES` (a folder) when that is set, so that they can be looked at.

use super::admin::*;
use super::edit::RecordingCut;
use super::error::{ErrorPage, Refused};
use super::home::{Home, LiveCard};
use super::live::Live;
use super::login::Login;
use super::setup::{SetupForm, SetupWait};
use super::studio::*;
use super::tv::{Qr, Tv, TvLive};
use super::upload::{Unfinished, Upload};
use super::watch::{Watch, WatchPin};
use super::*;
use crate::base::terms::{ImportState, LadderState};
use crate::broadcast::actor::Wellbeing;
use crate::media::protocol::DeviceFormat;
use crate::web::api::storage::RuleName;

const NOW: i64 = 1_762_930_000_000;

fn site(t: Lang, here: &str, role: &str) -> Site {
    let who = (!role.is_empty()).then(|| Who {
        username: "bidan.sari".into(),
        broadcaster: role != "viewer",
        admin: role == "admin",
    });
    let csrf = if who.is_some() { "sample-token".into() } else { String::new() };
    Site { t, name: "siaran".into(), here: here.into(), who, csrf, now_ms: NOW, notice: None }
}

fn card(number: u8, title: &str, hours_ago: i64, seconds: u64) -> Card {
    Card {
        id: format!("sample{number}"),
        title: title.into(),
        at_ms: NOW - hours_ago * 3_600_000,
        duration_s: Some(seconds),
        audience: if number % 4 == 3 { Audience::Members } else { Audience::Public },
        thumbnail: number != 5,
        captioned: number % 3 == 1,
        said: (number == 1).then(|| Said { at_s: 754, words: "Menyusui <b>tiap dua jam</b>\nsiang dan malam".into() }),
    }
}

fn library() -> Vec<Card> {
    vec![
        card(1, "Menyusui di minggu pertama: posisi dan perlekatan", 3, 1_512),
        card(2, "Cuci tangan enam langkah", 27, 385),
        card(3, "Makanan pendamping ASI dari dapur sendiri, tanya jawab bersama ahli gizi puskesmas", 80, 3_725),
        card(4, "Demam pada anak: kapan harus ke klinik?", 200, 912),
        card(5, "Senam hamil trimester ketiga", 500, 2_230),
        card(6, "Imunisasi dasar lengkap", 900, 1_044),
    ]
}

fn home(t: Lang) -> Home {
    Home {
        site: site(t, "/", ""),
        live: vec![LiveCard {
            id: "sample7".into(),
            title: "Kelas ibu hamil: tanda bahaya kehamilan".into(),
            started_ms: NOW - 12 * 60_000,
            viewers: 23,
            thumbnail: true,
        }],
        next: vec![Card { duration_s: None, ..card(8, "Posyandu keliling: jadwal bulan ini", -26, 0) }],
        library: library(),
        query: String::new(),
        topic: None,
        topics: ["Kehamilan", "Menyusui", "Gizi", "Anak"].map(String::from).to_vec(),
        older: Some("after=sample6".into()),
    }
}

fn watch(t: Lang, state: State) -> Watch {
    Watch {
        site: site(t, "/watch/sample1", ""),
        id: "sample1".into(),
        title: "Menyusui di minggu pertama: posisi dan perlekatan".into(),
        description: "Bidan Sari menunjukkan empat posisi menyusui dan cara mengenali perlekatan yang baik.\n\nBoleh bertanya setelah siaran.".into(),
        state,
        audience: Audience::Public,
        at_ms: NOW - 25 * 60_000,
        viewers: 12,
        duration_s: 1_512,
        size: 412_000_000,
        thumbnail: true,
        tags: vec!["Menyusui".into(), "Bayi baru lahir".into()],
        more: library()[1..4].to_vec(),
        live_sync_s: 0.6,
        recorded: true,
        pin: Some(false),
        tracks: if state == State::Ended { tracks() } else { vec![] },
        chapters: if state == State::Ended { marks() } else { vec![] },
        sprite: state == State::Ended,
        reading: None,
    }
}

fn studio(t: Lang, on_air: Vec<OnAir>) -> Studio {
    let microphone = |id: &str, label: &str| Microphone { id: id.into(), label: label.into() };
    Studio {
        site: site(t, "/studio", "admin"),
        sources: vec![
            Source {
                id: "cam0".into(),
                kind: SourceKind::Camera,
                label: "Logitech C920".into(),
                ready: true,
                needs_no_encoding: true,
                microphones: vec![microphone("mic0", "Logitech C920"), microphone("mic1", "USB Lavalier")],
                formats: vec![DeviceFormat { encoding: "h264".into(), width: 1280, height: 720, frame_rate: 30 }],
            },
            Source {
                id: "rtmp1".into(),
                kind: SourceKind::Rtmp,
                label: "Ponsel Bu Sari".into(),
                ready: false,
                needs_no_encoding: true,
                microphones: vec![],
                formats: vec![],
            },
            Source {
                id: "test".into(),
                kind: SourceKind::Test,
                label: t.studio_source_test_label().into(),
                ready: true,
                needs_no_encoding: false,
                microphones: vec![],
                formats: vec![],
            },
        ],
        on_air,
        draft: Draft {
            source: "cam0".into(),
            microphone: "mic1".into(),
            content: Field::of(Content::Talk),
            title: Field::of(t.studio_default_title("13 November 2025")),
            description: Field::default(),
            audience: Field::of(Audience::Public),
        },
        at: String::new(),
        disk_left_s: Some(165_600),
        error: None,
        no_room: false,
        trash_bytes: 9_400_000_000,
        another: false,
        qr: Qr::of("http://siaran.local/live"),
    }
}

fn keys(t: Lang, made: bool) -> Keys {
    let key = |id: &str, label: &str, auto_live, used_ms, connected| Key {
        id: id.into(),
        label: label.into(),
        auto_live,
        audience: Audience::Public,
        created_ms: NOW - 86_400_000,
        used_ms,
        connected,
    };
    Keys {
        site: site(t, "/studio/keys", "broadcaster"),
        keys: vec![
            key("k1", "Aula", true, Some(NOW - 7_200_000), true),
            key("k2", "Ponsel Bu Sari", false, None, false),
        ],
        label: Field::default(),
        auto_live: Field::of(true),
        audience: Field::of(Audience::Public),
        made: made.then(|| MadeKey {
            label: "Aula".into(),
            server: "rtmp://192.168.1.20:1935/live".into(),
            key: "w3k9-sample-key".into(),
        }),
        rtmp_on: true,
    }
}

fn accounts(t: Lang) -> Accounts {
    let row = |id: &str, name: &str, role, error: Option<String>| AccountRow {
        id: id.into(),
        username: name.into(),
        role,
        disabled: id == "a3",
        made_ms: NOW - 3_600_000,
        me: id == "a1",
        last_admin: role == Role::Admin,
        at: error.as_ref().map_or_else(String::new, |_| "password".into()),
        error,
    };
    Accounts {
        site: site(t, "/admin/accounts", "admin"),
        accounts: vec![
            row("a1", "dr.wulan", Role::Admin, None),
            row("a2", "bidan.sari", Role::Broadcaster, t.problem("password_too_short").map(String::from)),
            row("a3", "kader.rini", Role::Viewer, None),
        ],
        username: Field::wrong("bidan.sari", t.problem("username_taken").unwrap_or_default()),
        password: Field::default(),
        role: Field::of(Role::Broadcaster),
    }
}

fn recordings(t: Lang) -> Recordings {
    let rows = library().into_iter().enumerate().map(|(i, card)| RecordingRow {
        id: card.id,
        title: card.title,
        at_ms: card.at_ms,
        duration_s: card.duration_s.unwrap_or_default(),
        size: 412_000_000,
        audience: card.audience,
        state: if i == 0 { State::Live } else { State::Ended },
        hidden: i == 2,
        pinned: i == 1,
        recorded: i != 3,
        thumbnail: card.thumbnail,
    });
    Recordings { site: site(t, "/admin/recordings", "admin"), rows: rows.collect(), query: String::new(), older: None }
}

fn overview(t: Lang) -> Overview {
    let done =
        |what: String, minutes: i64| Activity { at_ms: NOW - minutes * 60_000, account: "dr.wulan".into(), what };
    Overview {
        site: Site { notice: Some(t.done_saved().into()), ..site(t, "/admin", "admin") },
        storage: Storage {
            total: 240_000_000_000,
            free: 92_000_000_000,
            recordings: 118_000_000_000,
            trash: 9_400_000_000,
            thumbnails: 4_200_000,
            left_s: Some(46 * 3_600 + 120),
            untouched_s: Some(12 * 3_600),
        },
        rule: Field::of(RuleName::Days),
        days: Field::wrong("0", t.problem("retention_days").unwrap_or_default()),
        quota_gb: Field::default(),
        recordings: 84,
        recorded_s: 212_000,
        accounts: 7,
        on_air: 1,
        recent: vec![
            done(t.done_account_made("kader.rini"), 12),
            done(t.done_restored("Cuci tangan enam langkah"), 300),
        ],
    }
}

fn trash(t: Lang) -> Trash {
    let rows = library().into_iter().take(2).map(|card| TrashRow {
        id: card.id,
        title: card.title,
        trashed_ms: NOW - 86_400_000,
        gone_ms: Some(NOW + 29 * 86_400_000),
        pinned: false,
        duration_s: 912,
        size: 210_000_000,
        thumbnail: true,
    });
    Trash { site: site(t, "/admin/trash", "admin"), rows: rows.collect(), size: 420_000_000 }
}

fn imports(t: Lang) -> Imports {
    let row = |id: &str, name: &str, state, reason: Option<&str>| ImportRow {
        id: id.into(),
        name: name.into(),
        size: 812_000_000,
        state,
        progress: 42,
        reason: reason.and_then(|code| t.problem(code)).map(String::from),
        broadcast_id: (state == ImportState::Done).then(|| "sample1".into()),
        at_ms: NOW - 5 * 60_000,
    };
    Imports {
        site: site(t, "/admin/imports", "admin"),
        rows: vec![
            row("i1", "<b>demam</b> pada anak.mov", ImportState::Waiting, Some("import_no_room")),
            row("i2", "Senam hamil.mkv", ImportState::Working, None),
            row("i3", "Cuci tangan.mp4", ImportState::Done, Some("import_incomplete")),
            row("i4", "jadwal.pdf", ImportState::Refused, Some("import_no_media")),
            row("i5", "Kelas ibu.mp3", ImportState::Cancelled, None),
        ],
        older: Some("after=i5".into()),
    }
}

fn recording(t: Lang) -> RecordingEdit {
    RecordingEdit {
        site: site(t, "/admin/recordings/sample1", "admin"),
        id: "sample1".into(),
        title: Field::wrong("", t.problem("required").unwrap_or_default()),
        description: Field::of("Bidan Sari menunjukkan empat posisi."),
        tags: Field::of("Menyusui, Bayi baru lahir"),
        audience: Field::of(Audience::Pin),
        hidden: Field::of(false),
        pinned: Field::of(true),
        thumbnail: true,
        pin: Some("482915".into()),
        on_air: false,
        tracks: tracks(),
        ladder: Some(Ladder { state: LadderState::Working, progress: 40, reason: None }),
    }
}

fn tracks() -> Vec<Track> {
    let track = |language: &str, name: &str, cues| Track { language: language.into(), name: name.into(), cues };
    vec![track("id", "Bahasa Indonesia", 312), track("jv", "Basa Jawa", 1)]
}

fn marks() -> Vec<Mark> {
    let mark = |whole_s: u64, title: &str| Mark { at_s: format!("{whole_s}.000"), whole_s, title: title.into() };
    vec![mark(0, "Salam"), mark(312, "<b>demam</b> dan ASI"), mark(900, "Tanya jawab")]
}

fn cut(t: Lang) -> RecordingCut {
    RecordingCut {
        site: site(t, "/admin/recordings/sample1/edit", "admin"),
        id: "sample1".into(),
        title: "Cuci tangan enam langkah".into(),
        kept: Field::of("0:02.033 - 12:00\n15:10 - 25:02.400\n"),
        chapters: Field::wrong("<b>demam</b>", t.captions_at_line(1, t.problem("chapter_times").unwrap_or_default())),
        at: Field::of("0:00"),
        edited: true,
        uncut_ms: 1_512_400,
        shown_ms: 1_310_367,
        thumbnail: true,
    }
}

fn captions(t: Lang, new: bool) -> CaptionsEdit {
    let wrong = t.captions_at_line(3, t.problem("captions_bad_times").unwrap_or_default());
    CaptionsEdit {
        site: site(t, "/admin/recordings/sample1/captions", "admin"),
        id: "sample1".into(),
        title: "Cuci tangan enam langkah".into(),
        language: if new { "" } else { "jv" }.into(),
        name: if new { "" } else { "Basa Jawa" }.into(),
        language_error: None,
        languages: if new { crate::web::i18n::captions::LANGUAGES.to_vec() } else { vec![] },
        text: if new { Field::of("WEBVTT\n") } else { Field::wrong("WEBVTT\n\n1 --> 2\n<b>demam</b>", wrong) },
    }
}

fn upload(t: Lang, unfinished: bool) -> Upload {
    let one = Unfinished {
        id: "sample1".into(),
        name: "<b>demam</b> pada anak.mp4".into(),
        length: 1_412_000_000,
        offset: 340_000_000,
        expires_ms: Some(NOW + 6 * 86_400_000),
    };
    Upload {
        site: site(t, "/studio/upload", "broadcaster"),
        most: 20_000_000_000,
        unfinished: if unfinished { vec![one] } else { vec![] },
        error: unfinished.then(|| t.problem("upload_no_room").unwrap_or_default().into()),
    }
}

fn setup_form(t: Lang) -> SetupForm {
    SetupForm {
        site: site(t, "/setup", ""),
        token: "sample".into(),
        username: Field::of("dr.wulan"),
        password: Field::wrong("", t.problem("password_too_short").unwrap_or_default()),
        password_again: Field::default(),
        error: None,
    }
}

fn tv(t: Lang, live: bool) -> Tv {
    Tv {
        site: site(t, "/tv", ""),
        live: live.then(|| TvLive { id: "sample7".into(), title: "Kelas ibu hamil".into() }),
        next: Some(card(8, "Posyandu keliling: jadwal bulan ini", -26, 0)),
        address: "siaran.local/live".into(),
        qr: Qr::of("http://siaran.local/live"),
    }
}

fn on_air(health: Wellbeing) -> Vec<OnAir> {
    let title = "Kelas ibu hamil: tanda bahaya kehamilan".into();
    let pin = Some("482915".into());
    vec![OnAir {
        id: "sample7".into(),
        title,
        live: true,
        source: "cam0".into(),
        elapsed_s: 754,
        viewers: 23,
        pin,
        reason: None,
        health: Health(health),
        unrecorded: true,
    }]
}

/// Name, and the page in the language.
fn pages(t: Lang) -> Vec<(&'static str, String)> {
    let show = |page: &dyn askama::DynTemplate| page.dyn_render().expect("a page renders");
    vec![
        ("home", show(&home(t))),
        (
            "home_empty",
            show(&Home {
                site: site(t, "/", "broadcaster"),
                live: vec![],
                next: vec![],
                library: vec![],
                topics: vec![],
                older: None,
                ..home(t)
            }),
        ),
        ("home_nothing", show(&Home { library: vec![], query: "<b>demam</b>".into(), older: None, ..home(t) })),
        (
            "home_search",
            show(&Home { library: library()[..1].to_vec(), query: "menyusui".into(), older: None, ..home(t) }),
        ),
        ("watch_starting", show(&watch(t, State::Starting))),
        ("watch_live", show(&watch(t, State::Live))),
        ("watch_ended", show(&watch(t, State::Ended))),
        ("watch_failed", show(&watch(t, State::Failed))),
        (
            "watch_pin",
            show(&WatchPin {
                site: site(t, "/watch/sample1", ""),
                id: "sample1".into(),
                title: "Konseling keluarga berencana".into(),
                pin: Field::wrong("12345", t.field_pin_wrong()),
            }),
        ),
        (
            "login",
            show(&Login {
                site: site(t, "/login", ""),
                username: Field::of("bidan.sari"),
                password: Field::default(),
                error: Some(t.login_wrong().into()),
                next: "/studio".into(),
            }),
        ),
        ("setup_wait", show(&SetupWait { site: site(t, "/setup", "") })),
        ("setup_form", show(&setup_form(t))),
        ("studio", show(&studio(t, vec![]))),
        ("studio_air", show(&studio(t, on_air(Wellbeing::Ok)))),
        ("studio_lost", show(&studio(t, on_air(Wellbeing::VideoLost)))),
        ("keys", show(&keys(t, false))),
        ("keys_made", show(&keys(t, true))),
        ("upload", show(&upload(t, false))),
        ("upload_unfinished", show(&upload(t, true))),
        ("live_wait", show(&Live { site: site(t, "/live", ""), meanwhile: library()[..3].to_vec() })),
        ("tv_wait", show(&tv(t, false))),
        ("tv_live", show(&tv(t, true))),
        ("admin", show(&overview(t))),
        ("admin_accounts", show(&accounts(t))),
        ("admin_recordings", show(&recordings(t))),
        ("admin_imports", show(&imports(t))),
        ("admin_imports_none", show(&Imports { rows: vec![], older: None, ..imports(t) })),
        ("admin_recording", show(&recording(t))),
        ("admin_edit", show(&cut(t))),
        ("admin_captions", show(&captions(t, false))),
        ("admin_captions_new", show(&captions(t, true))),
        ("admin_trash", show(&trash(t))),
        ("error_404", show(&ErrorPage::new(site(t, "/nothing", ""), 404, Refused::default()))),
        ("error_401", show(&ErrorPage::new(site(t, "/studio", ""), 401, Refused::default()))),
        (
            "error_429",
            show(&ErrorPage::new(site(t, "/login", ""), 429, Refused { wait_s: Some(90), ..Refused::default() })),
        ),
    ]
}

#[test]
fn every_page_renders_in_every_language() {
    let folder = std::env::var_os("SIARAN_PAGES").map(std::path::PathBuf::from);
    for t in Lang::ALL {
        for (name, html) in pages(t) {
            assert!(html.starts_with("<!doctype html>"), "{name}");
            assert!(!html.contains("/assets/unknown"), "{name} names an asset that the build does not make");
            assert!(!html.contains("<script>") && !html.contains(" onclick="), "{name} has inline script");
            assert!(!html.contains("<b>demam"), "{name} lets markup through");
            if let Some(folder) = &folder {
                std::fs::write(folder.join(format!("{name}.{}.html", t.code())), html).expect("the folder takes files");
            }
        }
    }
}

/// An icon that the sprite lacks would be an empty square.
#[test]
fn every_icon_is_in_the_sprite() {
    let name = asset("icons.svg").trim_start_matches("/assets/");
    let sprite = std::fs::read_to_string(format!("static/dist/{name}")).expect("the sprite is built");
    for (page, html) in pages(Lang::En) {
        for used in html.split("icons.").skip(1).filter_map(|rest| rest.split_once('#')) {
            let icon = used.1.split('"').next().unwrap_or_default();
            assert!(sprite.contains(&format!("id=\"{icon}\"")), "{page}: no icon {icon}");
        }
    }
}
