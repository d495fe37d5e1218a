//! Retention against a model that knows the true time, whatever the clock says.

use proptest::prelude::*;

use super::*;

const START: i64 = 1_790_000_000_000;
const HOUR_TICKS: u64 = 3600 * TIMESCALE as u64;

#[derive(Debug, Clone)]
enum Step {
    Record {
        size: u64,
        minutes: u64,
    },
    Pin(prop::sample::Index, bool),
    Trash(prop::sample::Index),
    Restore(prop::sample::Index),
    Wait(i64),
    /// The clock is off by so much, and nobody knows how it stands.
    LoseClock(i64),
    FindClock,
    Rule(Rule),
    Short(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rule = prop_oneof![Just(Rule::UntilShort), (1..10u32).prop_map(Rule::Days), (0..40u64).prop_map(Rule::Quota)];
    let step = prop_oneof![
        6 => (0..10u64, 0..90u64).prop_map(|(size, minutes)| Step::Record { size, minutes }),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, pin)| Step::Pin(which, pin)),
        2 => any::<prop::sample::Index>().prop_map(Step::Trash),
        1 => any::<prop::sample::Index>().prop_map(Step::Restore),
        4 => (0..3 * DAY_MS).prop_map(Step::Wait),
        2 => (0..HOUR_MS).prop_map(Step::Wait),
        1 => (-60 * 365 * DAY_MS..60 * 365 * DAY_MS).prop_map(Step::LoseClock),
        1 => Just(Step::FindClock),
        1 => rule.prop_map(Step::Rule),
        2 => (0..30u64).prop_map(Step::Short),
    ];
    proptest::collection::vec(step, 1..40)
}

struct Model {
    held: Vec<Held>,
    /// When each was recorded or thrown away in truth, by id.
    since: std::collections::HashMap<String, i64>,
    truth: i64,
    /// None: the clock is right and known to be.
    lost: Option<i64>,
    rule: Rule,
    trash_days: u32,
    made: u32,
}

impl Model {
    fn now(&self) -> Option<i64> {
        self.lost.is_none().then_some(self.truth)
    }

    fn do_step(&mut self, step: Step) -> u64 {
        let now = self.now();
        match step {
            Step::Record { size, minutes } => {
                self.truth += minutes as i64 * 60_000;
                self.made += 1;
                let id = self.made.to_string();
                self.since.insert(id.clone(), self.truth);
                let duration = minutes * 60 * u64::from(TIMESCALE);
                self.held.push(Held { id, size, duration, pinned: false, trashed: false, aged_from: self.now() });
            }
            Step::Wait(ms) => self.truth += ms,
            Step::LoseClock(off) => self.lost = Some(off),
            Step::FindClock => self.lost = None,
            Step::Rule(rule) => self.rule = rule,
            Step::Short(bytes) => return bytes,
            Step::Pin(..) | Step::Trash(_) | Step::Restore(_) if self.held.is_empty() => {}
            Step::Pin(which, pin) => which.get_mut(&mut self.held).pinned = pin,
            Step::Trash(which) | Step::Restore(which) => {
                let one = which.get_mut(&mut self.held);
                one.trashed = matches!(step, Step::Trash(_));
                one.aged_from = now;
                self.since.insert(one.id.clone(), self.truth);
            }
        }
        0
    }

    /// Media that was recorded after it, in ticks.
    fn newer(&self, index: usize) -> u64 {
        self.held[index + 1..].iter().filter(|one| !one.trashed).map(|one| one.duration).sum()
    }

    fn true_age(&self, one: &Held) -> i64 {
        self.truth - self.since[&one.id]
    }

    /// What must never go for want of room.
    fn is_safe(&self, index: usize) -> bool {
        let one = &self.held[index];
        let new = match self.now() {
            // Its age is not older than the truth, and younger only where the clock was lost.
            Some(now) if one.aged_from.is_some() => now - one.aged_from.unwrap() < HOUR_MS,
            _ => !one.trashed && self.newer(index) < HOUR_TICKS,
        };
        one.pinned || new || one.size == 0
    }

    fn total(&self) -> u64 {
        self.held.iter().map(|one| one.size).sum()
    }

    /// Follows the rule to its end and checks each deletion, and that none is left to do.
    fn settle(&mut self, mut short_by: u64) -> Result<(), TestCaseError> {
        if let Some(now) = self.now() {
            self.held.iter_mut().for_each(|one| _ = one.aged_from.get_or_insert(now));
        }
        let circumstances = |model: &Model, short_by| Circumstances {
            rule: model.rule,
            trash_days: model.trash_days,
            short_by,
            now: model.now(),
        };
        while let Some((index, reason)) = next(&self.held, &circumstances(self, short_by)) {
            let one = self.held[index].clone();
            prop_assert!(!one.pinned);
            match reason {
                Reason::TrashOver | Reason::TooOld => {
                    prop_assert!(self.lost.is_none(), "by age, without a clock");
                    let days = match (reason, self.rule) {
                        (Reason::TrashOver, _) => self.trash_days,
                        (_, Rule::Days(days)) => days,
                        other => return Err(TestCaseError::fail(format!("{other:?}"))),
                    };
                    prop_assert!(self.true_age(&one) >= i64::from(days) * DAY_MS, "too early");
                    prop_assert_eq!(one.trashed, reason == Reason::TrashOver);
                }
                Reason::RoomShort | Reason::OverQuota => {
                    prop_assert!(!self.is_safe(index), "{:?} is safe", one);
                    if self.lost.is_none() {
                        prop_assert!(self.true_age(&one) >= HOUR_MS, "of the newest hour");
                    }
                    let before = (0..self.held.len()).filter(|&other| !self.is_safe(other)).find(|&other| {
                        let other_one = &self.held[other];
                        (other_one.trashed && !one.trashed) || (other_one.trashed == one.trashed && other < index)
                    });
                    prop_assert_eq!(before, None, "another comes first");
                    match reason {
                        Reason::RoomShort => prop_assert!(short_by > 0),
                        _ => prop_assert!(matches!(self.rule, Rule::Quota(most) if self.total() > most)),
                    }
                }
            }
            short_by = short_by.saturating_sub(one.size);
            self.held.remove(index);
        }
        let over = matches!(self.rule, Rule::Quota(most) if self.total() > most);
        prop_assert!((short_by == 0 && !over) || (0..self.held.len()).all(|index| self.is_safe(index)), "more may go");
        if let Some(now) = self.now() {
            let due = |one: &Held, days: u32| !one.pinned && now - one.aged_from.unwrap() >= i64::from(days) * DAY_MS;
            let trash_days = self.trash_days;
            prop_assert!(!self.held.iter().any(|one| one.trashed && due(one, trash_days)));
            if let Rule::Days(days) = self.rule {
                prop_assert!(!self.held.iter().any(|one| !one.trashed && due(one, days)));
            }
        }
        let promised = freeable(&self.held, self.now());
        let may_go: u64 =
            (0..self.held.len()).filter(|&index| !self.is_safe(index)).map(|index| self.held[index].size).sum();
        prop_assert_eq!(promised, may_go);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn whatever_happens_only_what_may_go_goes(steps in steps(), trash_days in 0..8u32) {
        let mut model = Model {
            held: Vec::new(),
            since: Default::default(),
            truth: START,
            lost: None,
            rule: Rule::UntilShort,
            trash_days,
            made: 0,
        };
        for step in steps {
            let short_by = model.do_step(step);
            model.settle(short_by)?;
        }
    }
}

#[test]
fn the_oldest_goes_and_the_trash_before_it() {
    let one = |id: &str, trashed, hours: i64| Held {
        id: id.to_owned(),
        size: 10,
        duration: HOUR_TICKS,
        pinned: false,
        trashed,
        aged_from: Some(START - hours * HOUR_MS),
    };
    let mut held = vec![one("a", false, 50), one("b", true, 5), one("c", true, 0), one("d", false, 0)];
    let short = Circumstances { rule: Rule::UntilShort, trash_days: 30, short_by: 1, now: Some(START) };
    assert_eq!(next(&held, &short), Some((1, Reason::RoomShort)), "the trash");
    assert_eq!(next(&held, &Circumstances { rule: Rule::Days(2), ..short }), Some((0, Reason::TooOld)));
    assert_eq!(next(&held, &Circumstances { short_by: 0, ..short }), None);
    held.remove(1);
    assert_eq!(next(&held, &short), Some((0, Reason::RoomShort)), "what was thrown away just now can be restored");
    held.remove(0);
    assert_eq!(next(&held, &short), None, "the newest hour");
    let lost = Circumstances { now: None, ..short };
    assert_eq!(next(&held, &lost), Some((0, Reason::RoomShort)), "without a clock, the newest hour of media");
    held.remove(0);
    assert_eq!(next(&held, &lost), None);
}

#[test]
fn rules_are_kept_as_text() {
    for rule in [Rule::UntilShort, Rule::Days(30), Rule::Quota(5_000_000_000)] {
        assert_eq!(Rule::parse(&rule.to_string()), Some(rule));
    }
    for text in ["", "days", "days 0", "days 36501", "days x", "quota", "quota -1", "for ever"] {
        assert_eq!(Rule::parse(text), None, "{text}");
    }
}
