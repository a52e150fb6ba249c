//! Both sides of a run beside each other: where what one of them sent was lost, what busy cycles should come to when a
//! core is saturated, and what limits or distorts the figures.

use super::collect::{Facts, Plan, Role};
use super::figures::{Point, per};
use super::flood;
use super::run::{Flood, Loss, Run, Side};
use super::text::{advice, thousands};
use crate::base::drop_reason::DropReason;
use crate::stats::counters::Counter;
use crate::stats::losses::Losses;

/// From this share of busy cycles on a core counts as saturated.
const SATURATED: f64 = 0.9;
/// By how much busy cycles may differ from those that passed.
const TOLERANCE: f64 = 0.1;
/// What share of a closed loop's connections may be missing, and how many may be on their way.
const UNREACHED: f64 = 0.05;
const MOVING: f64 = 512.0;

/// What is known of both sides.
pub(super) struct Both<'a> {
    pub plan: &'a Plan,
    pub facts: &'a Facts,
    /// Of the whole run.
    pub totals: &'a [Point; 2],
    /// Of the measured time.
    pub measured: &'a [Point; 2],
    /// Its length.
    pub seconds: [f64; 2],
}

impl Both<'_> {
    /// Both sides count their frames, so that these can be followed: they run our engine, or flood.
    fn count_frames(&self) -> bool {
        self.plan.flood || Role::BOTH.iter().all(|role| self.plan.side(*role).is_some_and(|side| side.engine))
    }

    /// Loops take turns on a core.
    fn share_cores(&self) -> bool {
        let loops: u32 = Role::BOTH.iter().filter_map(|role| self.plan.side(*role)).map(|s| s.loops).sum();
        self.facts.cores < loops
    }

    fn losses(&self, role: Role) -> &Losses {
        match role {
            Role::Client => &self.facts.client.losses,
            Role::Server => &self.facts.server.losses,
        }
    }
}

/// Fills in all that needs both sides.
pub(super) fn complete(run: &mut Run, both: &Both<'_>) {
    saturation(run, both);
    run.losses = losses(both);
    if let Some(sentence) = unexplained(run, both) {
        run.warnings.push(sentence);
    }
    if let Some(lasted_s) = run.time_wait_shortened_s {
        run.warnings.push(format!(
            "TIME-WAIT was shortened to {lasted_s:.1} s instead of {:.1} s: there was no room for all entries.",
            run.time_wait_s
        ));
    }
    run.warnings.extend(not_reached(run));
    for role in Role::BOTH.into_iter().filter(|role| both.plan.side(*role).is_some()) {
        let sentences = advice(&both.totals[role as usize].counters);
        run.warnings.extend(sentences.into_iter().map(|sentence| format!("{}: {sentence}", role.name())));
    }
}

/// A closed loop that did not hold what it was asked to: the cost is that of a smaller table.
fn not_reached(run: &Run) -> Option<String> {
    let wanted = run.concurrency.filter(|_| run.rate.is_none() && run.flood.is_none())? as f64;
    let held = run.client.as_ref()?.connections;
    // Some are between their end and the next one's SYN whenever it is looked.
    let missing = wanted - held;
    (missing > UNREACHED * wanted && missing > MOVING).then(|| {
        format!(
            "{held:.0} connections were open on average, and not {wanted:.0}: the warm-up was too short to open them, \
             or they did not stay open."
        )
    })
}

/// Cycles that passed for each connection or SYN, and a warning where a saturated core's busy cycles are others.
fn saturation(run: &mut Run, both: &Both<'_>) {
    let shared = both.share_cores();
    let unit = if run.flood.is_some() { "SYN" } else { "connection" };
    let mut busy_of_both = 0.0;
    let mut elapsed_of_both: f64 = 0.0;
    let mut sides: Vec<(Role, &mut Side)> = Vec::with_capacity(2);
    sides.extend(run.client.as_mut().map(|side| (Role::Client, side)));
    sides.extend(run.server.as_mut().map(|side| (Role::Server, side)));
    let mut seen = Vec::new();
    for (role, side) in sides {
        let loops = both.plan.side(role).map_or(0, |plan| plan.loops);
        let cores = f64::from(if shared { both.facts.cores } else { loops });
        let cycles = both.facts.tsc_hz as f64 * cores * both.seconds[role as usize];
        let busy_cycles = both.measured[role as usize].work.busy_cycles as f64;
        let units = run.flood.as_ref().map_or(side.closed, Flood::units) as f64;
        let (busy, passed) = (per(busy_cycles, units), per(cycles, units));
        match run.flood.as_mut() {
            None => side.elapsed_cycles_per_connection = passed,
            Some(flood) if role == Role::Server => flood.elapsed_cycles_per_syn = passed,
            Some(_) => {}
        }
        busy_of_both += busy;
        elapsed_of_both = elapsed_of_both.max(passed);
        seen.push((role.name(), busy, passed, side.busy_share));
    }
    if shared {
        let work = both.measured[0].work.plus(&both.measured[1].work);
        seen = vec![("both sides", busy_of_both, elapsed_of_both, work.busy_share())];
    }
    for (who, busy, passed, share) in seen {
        if share > SATURATED && (busy - passed).abs() > TOLERANCE * passed {
            run.warnings.push(format!(
                "{who}: {busy:.0} busy cycles a {unit}, but {passed:.0} passed, although the core was busy \
                 {:.0} % of its time: it did not have the CPU for itself, or the clock is not the TSC's.",
                share * 100.0
            ));
        }
    }
}

/// Where frames went: what each side dropped and each device lost, and what neither knows of.
fn losses(both: &Both<'_>) -> Vec<Loss> {
    let mut all = Vec::new();
    if !both.count_frames() {
        return all;
    }
    let mut add = |place: &str, reason: &str, count: u64| {
        if count > 0 {
            all.push(Loss { place: place.to_owned(), reason: reason.to_owned(), count });
        }
    };
    for role in Role::BOTH {
        let place = role.name();
        both.losses(role).each().iter().for_each(|(reason, count, _)| add(place, reason, *count));
        let drops = both.totals[role as usize].counters.drops();
        // What is not TCP takes no connection with it, and the account of a flood has a place for what finds no listener.
        let in_account = |reason| {
            both.plan.flood && matches!(reason, DropReason::RstRateLimited | DropReason::NoConnection)
        };
        let lost = drops.filter(|(reason, _)| !reason.name().starts_with("arp_") && !in_account(*reason));
        lost.for_each(|(reason, count)| add(place, reason.name(), count));
    }
    add("link", "client_to_server", unseen(both, Role::Client, Role::Server));
    add("link", "server_to_client", unseen(both, Role::Server, Role::Client));
    all
}

/// Frames that one side handed to its device and neither device nor the other side knows of.
fn unseen(both: &Both<'_>, from: Role, to: Role) -> u64 {
    let sent = both.totals[from as usize].counters.get(Counter::TxFrames);
    let came = both.totals[to as usize].counters.get(Counter::RxFrames);
    let theirs = both.losses(to);
    let at_device = theirs.rx_missed + theirs.rx_no_frame + theirs.rx_errors;
    sent.saturating_sub(both.losses(from).tx_errors).saturating_sub(came + at_device)
}

/// Accounts that differ by more than what was lost.
fn unexplained(run: &Run, both: &Both<'_>) -> Option<String> {
    let (client, server) = (&run.client.as_ref()?.account, &run.server.as_ref()?.account);
    let lost: u64 = run.losses.iter().map(|loss| loss.count).sum();
    if let Some(flood) = &run.flood {
        return flood::unexplained(&flood.account, lost);
    }
    let differ = client.established.abs_diff(server.established) > lost;
    (both.count_frames() && differ).then(|| {
        format!(
            "The client established {} connections and the server {}, but only {} frames were lost in between.",
            thousands(client.established),
            thousands(server.established),
            thousands(lost)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_loop_that_held_much_less_than_it_was_asked_to_says_so() {
        let run = |concurrency: u64, connections: f64| {
            let client = Some(Side { connections, ..Side::default() });
            Run { concurrency: Some(concurrency), client, ..Run::default() }
        };
        let said = not_reached(&run(1_000_000, 857_000.0)).unwrap();
        assert!(said.starts_with("857000 connections were open on average, and not 1000000:"), "{said}");
        // Short of it by what is on its way, or a little.
        assert_eq!(not_reached(&run(64, 40.0)), None);
        assert_eq!(not_reached(&run(1_000_000, 960_000.0)), None);
        // An open loop holds what it needs.
        assert_eq!(not_reached(&Run { rate: Some(1_000.0), ..run(1_000_000, 10.0) }), None);
        assert_eq!(not_reached(&Run { client: None, ..run(1_000_000, 10.0) }), None);
    }
}
