//! Blocking playlist reload and preload hints: what a request may wait for, RFC 8216bis 6.2.5.2. Pure decisions; the waiting
//! itself is in `web::media`.

use super::window::Window;
use crate::base::clock::TIMESCALE;

/// What a reload asks for: `_HLS_msn` and `_HLS_part`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub msn: u64,
    pub part: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The playlist holds what was asked for, or nothing will follow.
    Ready,
    /// It will soon.
    Wait,
    /// It is so far ahead that the request is a mistake: 400.
    TooFar,
}

/// Whether a playlist request can be answered from this window.
pub fn playlist(window: &Window, wanted: Wanted) -> Answer {
    if window.ended {
        return Answer::Ready;
    }
    // The last segment listed, complete or growing, is next_msn - 1 or next_msn.
    if wanted.msn > window.next_msn + 2 {
        return Answer::TooFar;
    }
    // About to go on after a restart: what was asked for may never have been, but something new is on its way.
    if !window.has_media() {
        return Answer::Wait;
    }
    if wanted.msn < window.next_msn {
        return match wanted.part {
            // A part beyond a complete segment's last is part 0 of the one after it.
            Some(part) if wanted.msn + 1 == window.next_msn && beyond_last(window, wanted.msn, part) => {
                ready_if(window.open.is_some())
            }
            _ => Answer::Ready,
        };
    }
    let Some(part) = wanted.part else { return Answer::Wait };
    let parts = window.open.as_ref().map_or(0, |open| open.parts.len() as u64);
    if wanted.msn == window.next_msn {
        if part < parts {
            return Answer::Ready;
        }
        return if part >= parts + advance_part_limit(window) { Answer::TooFar } else { Answer::Wait };
    }
    if part >= advance_part_limit(window) { Answer::TooFar } else { Answer::Wait }
}

/// Whether a part that is not there may be waited for: only the one that the preload hint names.
pub fn part(window: &Window, msn: u64, index: usize) -> Answer {
    if window.part(msn, index).is_some() {
        Answer::Ready
    } else if !window.ended && window.hinted_part() == (msn, index) {
        Answer::Wait
    } else {
        Answer::TooFar
    }
}

fn ready_if(ready: bool) -> Answer {
    if ready { Answer::Ready } else { Answer::Wait }
}

fn beyond_last(window: &Window, msn: u64, part: u64) -> bool {
    window.segment(msn).is_some_and(|segment| part >= segment.parts.len() as u64)
}

/// Three seconds' worth of parts, RFC 8216bis 6.2.5.2.
fn advance_part_limit(window: &Window) -> u64 {
    (3 * u64::from(TIMESCALE)).div_ceil(u64::from(window.part_target.max(1))).max(3)
}
