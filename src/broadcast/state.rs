//! The life of a broadcast as a pure state machine: what happens, in which state, has which effect. The actor carries the
//! effects out.

use crate::base::terms::BroadcastState;

/// Where a broadcast is, in more detail than the API tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Gone live; no part is published yet.
    Starting,
    Live,
    /// The publisher is gone and may come back.
    Waiting,
    Ended,
    Failed(Failure),
}

/// Why a broadcast has no recording; the stable names that the API gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No picture came in time.
    NoPicture,
    /// What the publisher sends is in a codec that cannot be used, or is broken.
    UnusableMedia,
    /// It was ended before the first picture.
    EndedEarly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A part was published, be it of the slate.
    Part,
    /// The publisher is gone for good unless it comes back by itself.
    SourceGone,
    /// The source's own picture is there (again).
    SourceBack,
    /// The publisher stayed away for the whole grace.
    GraceOver,
    /// No part for too long after going live, or a publisher without a picture.
    NoPicture,
    /// What the publisher sends cannot be used.
    UnusableMedia,
    /// A person, or the program's shutdown, ends it.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Write the state to the database and tell everyone.
    Announce(BroadcastState),
    StartGrace,
    StopGrace,
    /// Complete the playlist and the recording; nothing follows.
    Finish,
}

impl Failure {
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::NoPicture => "no_picture",
            Failure::UnusableMedia => "unusable_media",
            Failure::EndedEarly => "ended_early",
        }
    }
}

impl State {
    /// As the API and the database name it.
    pub fn public(self) -> BroadcastState {
        match self {
            State::Starting => BroadcastState::Starting,
            State::Live | State::Waiting => BroadcastState::Live,
            State::Ended => BroadcastState::Ended,
            State::Failed(_) => BroadcastState::Failed,
        }
    }

    pub fn is_final(self) -> bool {
        matches!(self, State::Ended | State::Failed(_))
    }

    /// The state that follows, and what must be done, in order.
    pub fn on(self, event: Event) -> (State, &'static [Effect]) {
        use Effect::{Announce, Finish, StartGrace, StopGrace};
        match (self, event) {
            (State::Starting, Event::Part) => (State::Live, &[Announce(BroadcastState::Live)]),
            (State::Starting, Event::NoPicture | Event::GraceOver) => (State::Failed(Failure::NoPicture), &[Finish]),
            (State::Starting, Event::UnusableMedia) => (State::Failed(Failure::UnusableMedia), &[Finish]),
            (State::Starting, Event::SourceGone) => (State::Starting, &[StartGrace]),
            (State::Starting, Event::End) => (State::Failed(Failure::EndedEarly), &[Finish]),
            // A publisher that was on air may come back with what it sent then.
            (State::Live, Event::SourceGone | Event::NoPicture | Event::UnusableMedia) => {
                (State::Waiting, &[StartGrace])
            }
            (State::Waiting, Event::SourceBack) => (State::Live, &[StopGrace]),
            (State::Waiting, Event::GraceOver) => (State::Ended, &[Finish]),
            (State::Live | State::Waiting, Event::End) => (State::Ended, &[Finish]),
            (state, _) => (state, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events() -> impl Strategy<Value = Vec<Event>> {
        use Event::{End, GraceOver, NoPicture, Part, SourceBack, SourceGone, UnusableMedia};
        let all = vec![Part, SourceGone, SourceBack, GraceOver, NoPicture, UnusableMedia, End];
        proptest::collection::vec(proptest::sample::select(all), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn it_finishes_once_and_never_comes_back(events in events()) {
            let mut state = State::Starting;
            let (mut finishes, mut had_part) = (0, false);
            for event in events {
                let before = state;
                had_part |= event == Event::Part && !before.is_final();
                let (after, effects) = state.on(event);
                finishes += effects.iter().filter(|effect| **effect == Effect::Finish).count();
                prop_assert!(!before.is_final() || (after == before && effects.is_empty()));
                prop_assert_eq!(after.is_final(), finishes == 1);
                // With media it becomes a recording, without it never does.
                prop_assert!(after != State::Ended || had_part);
                prop_assert!(!matches!(after, State::Failed(_)) || !had_part);
                state = after;
            }
            prop_assert!(state.on(Event::End).0.is_final());
        }
    }
}
