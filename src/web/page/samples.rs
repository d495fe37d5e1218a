//! Every page with sample data: proves that each template renders in both languages, and writes the pages to
//! `SIARAN_PAGES` (a folder) when that is set, so that they can be looked at.

use super::home::{Home, LiveCard};
use super::watch::{Watch, WatchPin};
use super::*;

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
        tags: vec!["Menyusui".into(), "Bayi baru lahir".into()],
        more: library()[1..4].to_vec(),
        live_sync_s: 0.6,
    }
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
