//! The playlists of all renditions of a broadcast or a preview, for those who wait for them: one `watch` channel each, so that a
//! part wakes only the requests for its own rendition.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::media::ladder::Ladder;
use crate::media::window::Window;

/// The reading side; cheap to clone.
#[derive(Clone)]
pub struct Windows {
    leader: u8,
    all: Arc<BTreeMap<u8, watch::Receiver<Arc<Window>>>>,
}

/// The writing side.
pub struct Show {
    leader: u8,
    all: BTreeMap<u8, watch::Sender<Arc<Window>>>,
}

/// One channel for each of `renditions`, counted from 0, and for what the ladder holds besides; with what it holds already.
pub fn channel(ladder: &mut Ladder, renditions: u8) -> (Show, Windows) {
    let mut show = Show { leader: ladder.leader(), all: BTreeMap::new() };
    for rendition in (0..renditions).chain([ladder.leader()]) {
        show.all.entry(rendition).or_insert_with(|| watch::channel(Arc::default()).0);
    }
    show.changes(ladder);
    let all = show.all.iter().map(|(rendition, sender)| (*rendition, sender.subscribe())).collect();
    (show, Windows { leader: ladder.leader(), all: Arc::new(all) })
}

impl Show {
    /// Shows what has changed.
    pub fn changes(&mut self, ladder: &mut Ladder) {
        for (rendition, window) in ladder.changed() {
            self.all.entry(rendition).or_insert_with(|| watch::channel(Arc::default()).0).send_replace(window);
        }
    }

    /// The leader's playlist.
    pub fn leading(&self) -> Arc<Window> {
        self.all.get(&self.leader).map(|sender| sender.borrow().clone()).unwrap_or_default()
    }
}

impl Windows {
    /// The rendition that decides where segments begin, and is never left out.
    pub fn leader(&self) -> u8 {
        self.leader
    }

    /// The playlist of a rendition, and its changes.
    pub fn of(&self, rendition: u8) -> Option<watch::Receiver<Arc<Window>>> {
        self.all.get(&rendition).cloned()
    }

    /// The leader's playlist as it stands: when it began, how long it is, whether it has ended is the same for all.
    pub fn leading(&self) -> Arc<Window> {
        self.all.get(&self.leader).map(|window| window.borrow().clone()).unwrap_or_default()
    }

    /// Returns when each rendition has media, or can have none any more.
    pub async fn until_all_have_media(&self) {
        for window in self.all.values() {
            // A broadcast that is gone has shown what it had.
            let _ = window.clone().wait_for(|window| window.duration > 0 || window.ended).await;
        }
    }

    /// Those that have media, best first.
    pub fn with_media(&self) -> Vec<(u8, Arc<Window>)> {
        let all = self.all.iter().map(|(rendition, window)| (*rendition, window.borrow().clone()));
        all.filter(|(_, window)| !window.inits.is_empty() && window.duration > 0).collect()
    }
}
