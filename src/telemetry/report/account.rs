//! The account of all repeats together, every reason that is not zero with its sentence, and where frames were lost.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{BOLD, Paint, hanging};
use crate::base::drop_reason::DropReason;
use crate::stats::account::{Broken, Failed, Way};
use crate::stats::counters::Counter;
use crate::stats::losses::Losses;
use crate::telemetry::collect::Role;
use crate::telemetry::run::{Account, Run};
use crate::telemetry::text::thousands;

/// Columns before a sentence.
const BEFORE: usize = 50;

/// Adds up counts by name.
fn add(into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (name, n) in from {
        *into.entry(name.clone()).or_default() += n;
    }
}

fn sum<'a>(accounts: impl Iterator<Item = &'a Account>) -> Account {
    let mut all = Account::default();
    for account in accounts {
        all.attempted += account.attempted;
        all.established += account.established;
        all.in_flight += account.in_flight;
        all.open += account.open;
        add(&mut all.failed, &account.failed);
        add(&mut all.closed, &account.closed);
        add(&mut all.broken, &account.broken);
    }
    all
}

/// The sentence of a name, wherever it comes from.
pub(in crate::telemetry) fn sentence(kind: &str, name: &str) -> &'static str {
    fn of<T: Copy>(
        all: &[T],
        name: &str,
        parts: fn(T) -> (&'static str, &'static str),
    ) -> Option<&'static str> {
        all.iter().map(|one| parts(*one)).find(|(known, _)| *known == name).map(|(_, sentence)| sentence)
    }
    let own = match kind {
        "failed" => of(Failed::ALL, name, |why| (why.name(), why.sentence())),
        "closed" => of(Way::ALL, name, |way| (way.name(), way.sentence())),
        "broken" => of(Broken::ALL, name, |why| (why.name(), why.sentence())),
        _ => of(DropReason::ALL, name, |why| (why.name(), why.sentence())),
    };
    let counted = || of(Counter::ALL, name, |counter| (counter.name(), counter.sentence()));
    let lost = || {
        let all = Losses::default().each();
        all.iter().find(|(known, ..)| *known == name).map(|(_, _, sentence)| *sentence)
    };
    own.or_else(counted).or_else(lost).unwrap_or(match name {
        "client_to_server" => "Frames that the client sent and nobody received.",
        "server_to_client" => "Frames that the server sent and nobody received.",
        _ => "",
    })
}

pub(super) fn line(text: &mut String, name: &str, n: u64, sentence: &str) {
    let before = format!("    {name:<30}{:>14}  ", thousands(n));
    hanging(text, &before, BEFORE.max(before.chars().count()), sentence);
}

/// Accounts of both sides over all repeats, drops and losses.
pub(super) fn accounts(text: &mut String, paint: Paint, repeats: &[&Run]) {
    for role in Role::BOTH {
        let sides = || repeats.iter().flat_map(|run| run.sides()).filter(|(side, _)| *side == role);
        if sides().next().is_none() {
            continue;
        }
        let of = if repeats.len() > 1 { ", of all repeats" } else { "" };
        let head = format!("  account of the {}, ramp and drain included{of}", role.name());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", paint.with(BOLD, &head));
        one(text, &sum(sides().map(|(_, side)| &side.account)));
        let mut dropped = BTreeMap::new();
        sides().for_each(|(_, side)| add(&mut dropped, &side.dropped));
        for (name, n) in &dropped {
            line(text, &format!("dropped: {name}"), *n, sentence("dropped", name));
        }
    }
    losses(text, paint, repeats);
}

/// Where frames were lost between both sides.
pub(super) fn losses(text: &mut String, paint: Paint, repeats: &[&Run]) {
    let mut losses: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for loss in repeats.iter().flat_map(|run| &run.losses) {
        *losses.entry((loss.place.as_str(), loss.reason.as_str())).or_default() += loss.count;
    }
    if !losses.is_empty() {
        let _ = writeln!(text, "{}", paint.with(BOLD, "  frames lost between both"));
    }
    for ((place, reason), n) in losses {
        line(text, &format!("{place}: {reason}"), n, sentence("lost", reason));
    }
}

fn one(text: &mut String, account: &Account) {
    line(text, "attempted", account.attempted, "");
    line(text, "established", account.established, "");
    for (kind, reasons) in
        [("failed", &account.failed), ("closed", &account.closed), ("broken", &account.broken)]
    {
        for (name, n) in reasons {
            line(text, &format!("{kind}: {name}"), *n, sentence(kind, name));
        }
    }
    for (name, n, what) in [
        ("in flight", account.in_flight, "Being opened at the end."),
        ("open", account.open, "Open at the end."),
    ] {
        if n > 0 {
            line(text, name, n, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_can_be_told_has_its_own_sentence() {
        assert!(Failed::ALL.iter().all(|why| sentence("failed", why.name()) == why.sentence()));
        assert!(Way::ALL.iter().all(|way| sentence("closed", way.name()) == way.sentence()));
        assert!(Broken::ALL.iter().all(|why| sentence("broken", why.name()) == why.sentence()));
        assert!(DropReason::ALL.iter().all(|why| sentence("dropped", why.name()) == why.sentence()));
        assert_eq!(sentence("closed", "finished"), Counter::Finished.sentence());
        assert!(sentence("lost", "rx_missed").contains("in time"));
        assert!(sentence("lost", "client_to_server").contains("client"));
        assert_eq!(sentence("lost", "never heard of"), "");
    }
}
