//! A flood's part of the report: SYNs sent and answered, the server's cycles for each, and where the rest went.

use std::fmt::Write;

use super::account::{line, losses};
use super::{BOLD, Paint, batches, columns_of};
use crate::base::drop_reason::DropReason;
use crate::stats::interval::STAGES;
use crate::telemetry::run::{Flood, FloodAccount, Run};
use crate::telemetry::units::{percent, whole};

/// All figures of a flood.
pub(super) fn figures(text: &mut String, paint: Paint, run: &Run, flood: &Flood) {
    let mut row = |name: &str, value: String| {
        columns_of(text, Paint(false), name, std::iter::once(value));
    };
    row("SYNs sent/s", whole(flood.syns_per_second));
    if !flood.closed {
        row("SYNs answered/s", whole(flood.answered_per_second));
        row("answered", format!("{:.4} %", flood.answered_share * 100.0));
    }
    row("server's busy cycles a SYN", whole(flood.cycles_per_syn));
    row("floor, and the ratio to it", floor(flood));
    row("busy cycles less the floor", above(flood));
    row("cycles passed a SYN", whole(flood.elapsed_cycles_per_syn));
    for stage in STAGES.iter().copied().chain(["other", "idle"]) {
        if let Some(cycles) = flood.stages.get(stage) {
            row(&format!("  cycles in {stage}"), format!("{cycles:.1}"));
        }
    }
    let sides: Vec<_> = run.sides().collect();
    columns_of(text, paint, "", sides.iter().map(|(role, _)| role.name().to_owned()));
    columns_of(text, Paint(false), "busy share", sides.iter().map(|(_, side)| percent(side.busy_share)));
    columns_of(text, Paint(false), "frames a call, rx and tx", sides.iter().map(|(_, side)| batches(side)));
}

fn floor(flood: &Flood) -> String {
    let Some(floor) = flood.floor_cycles_per_syn.filter(|floor| *floor > 0.0) else { return "-".to_owned() };
    format!("{}, {:.2}x", whole(floor), flood.cycles_per_syn / floor)
}

fn above(flood: &Flood) -> String {
    flood.floor_cycles_per_syn.map_or("-".to_owned(), |floor| whole(flood.cycles_per_syn - floor))
}

/// All SYNs of all repeats together, and what was lost.
pub(super) fn account(text: &mut String, paint: Paint, repeats: &[&Run]) {
    let of = if repeats.len() > 1 { ", of all repeats" } else { "" };
    let head = format!("  account of the SYNs, ramp and drain included{of}");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", paint.with(BOLD, &head));
    let floods = || repeats.iter().filter_map(|run| run.flood.as_ref()).map(|flood| &flood.account);
    let sum = |of: fn(&FloodAccount) -> u64| floods().map(of).sum::<u64>();
    line(text, "sent", sum(|all| all.syns), "");
    line(text, "answered", sum(|all| all.answered), "By a SYN-ACK that acknowledges them.");
    line(text, "answered, says the server", sum(|all| all.answered_by_server), "");
    for (name, n, what) in [
        ("refused", sum(|all| all.refused), "By a reset that acknowledges them."),
        ("refused, says the server", sum(|all| all.refused_by_server), ""),
        ("dropped: rst_rate_limited", sum(|all| all.dropped), DropReason::RstRateLimited.sentence()),
        ("unanswered", sum(|all| all.unanswered), "Nothing had come back by the end of the drain."),
        ("wrong", sum(|all| all.wrong), "Segments that came back and answer no SYN."),
    ] {
        if n > 0 {
            line(text, name, n, what);
        }
    }
    // What either side dropped is among them.
    losses(text, paint, repeats);
}
