//! What a connection costs more where there are many at a time, told in random lines: how flat the cost is.

use std::fmt::Write;

use super::report::{plans, typical};
use super::run::{Flatness, RandomLine, Run};
use super::text::thousands;
use super::units::whole;

/// Of each profile that ran with several numbers of connections at a time, the most beside the least.
pub fn flatness(runs: &[Run], line: Option<&RandomLine>) -> Vec<Flatness> {
    let mut typical: Vec<&Run> = plans(runs).iter().filter_map(|repeats| typical(repeats)).collect();
    typical.retain(|run| run.concurrency.is_some() && run.flood.is_none());
    let mut profiles: Vec<&str> = Vec::new();
    for run in &typical {
        if !profiles.contains(&run.profile.as_str()) {
            profiles.push(&run.profile);
        }
    }
    let of = |profile: &str| {
        let of_profile = || typical.iter().filter(|run| run.profile == profile);
        let least = of_profile().min_by_key(|run| run.concurrency)?;
        let most = of_profile().max_by_key(|run| run.concurrency)?;
        between(least, most, line)
    };
    profiles.into_iter().filter_map(of).collect()
}

fn between(least: &Run, most: &Run, line: Option<&RandomLine>) -> Option<Flatness> {
    let (few, many) = (least.concurrency?, most.concurrency?);
    if few == many {
        return None;
    }
    let cycles = above_floor(most)? - above_floor(least)?;
    let line = line.filter(|line| line.cycles > 0.0);
    Some(Flatness {
        profile: most.profile.clone(),
        least: few,
        most: many,
        cycles_per_connection: cycles,
        random_lines: line.map(|line| cycles / line.cycles),
    })
}

/// Busy cycles a connection of both sides, the floor left out; `None` where a side or its floor is not known.
fn above_floor(run: &Run) -> Option<f64> {
    let sides = [run.client.as_ref()?, run.server.as_ref()?];
    let each = sides.map(|side| Some(side.cycles_per_connection - side.floor_cycles_per_connection?));
    each.into_iter().sum()
}

/// Both in words, a line each; nothing where nothing was measured.
pub fn text(line: Option<&RandomLine>, flatness: &[Flatness]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    if let Some(line) = line {
        let size = format!("{} MiB", thousands(line.bytes >> 20));
        let on = line.tables.as_ref().map_or(String::new(), |tables| format!(" on {}", tables.text()));
        let _ = writeln!(text, "a random line, others in flight: {:.1} cycles, in {size}{on}", line.cycles);
    }
    for flat in flatness {
        let Flatness { profile, least, most, cycles_per_connection: cycles, random_lines } = flat;
        let (least, most, more) = (thousands(*least), thousands(*most), whole(cycles.abs()));
        let sign = if *cycles < 0.0 { '-' } else { '+' };
        let _ = write!(text, "{profile}, {most} at a time beside {least}: {sign}{more} cycles a connection");
        if let Some(lines) = random_lines {
            let _ = write!(text, ", as much as {lines:.1} random lines");
        }
        text.push_str("\n  (both sides together, busy less floor)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::sample;

    #[test]
    fn the_most_connections_are_told_beside_the_least_of_the_same_profile() {
        let mut runs: Vec<_> = [(1_000, 500_000.0), (100, 520_000.0), (1_000_000, 250_000.0)]
            .map(|(concurrency, rate)| sample::run(concurrency, 1, rate))
            .into();
        runs.push(sample::flood(1, 1e6));
        runs.push(Run { profile: "open".to_owned(), ..sample::run(5, 1, 9.0) });
        let flat = flatness(&runs, Some(&sample::random_line()));
        let [flat] = &flat[..] else { panic!("{flat:?}") };
        assert_eq!((flat.profile.as_str(), flat.least, flat.most), ("crr", 100, 1_000_000));
        let of = |run: &Run| {
            let side = |side: &crate::telemetry::run::Side| {
                side.cycles_per_connection - side.floor_cycles_per_connection.unwrap()
            };
            side(run.client.as_ref().unwrap()) + side(run.server.as_ref().unwrap())
        };
        let cycles = of(&runs[2]) - of(&runs[1]);
        assert!(cycles > 0.0 && (flat.cycles_per_connection - cycles).abs() < 1e-6, "{flat:?}");
        assert_eq!(flat.random_lines, Some(flat.cycles_per_connection / 40.0));
        let told = text(Some(&sample::random_line()), std::slice::from_ref(flat));
        let first = "a random line, others in flight: 40.0 cycles, in 2,000 MiB on transparent huge pages (94 % of 3,973 MiB)\n";
        let second =
            format!("crr, 1,000,000 at a time beside 100: +{} cycles a connection, as much", whole(cycles));
        assert!(told.starts_with(first) && told.contains(&second), "{told}");
        let less = Flatness { cycles_per_connection: -1_234.0, random_lines: Some(-30.85), ..flat.clone() };
        let told = text(None, &[less]);
        assert!(told.contains(": -1,234 cycles a connection, as much as -30.9 random lines\n"), "{told}");
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let mut runs = [sample::run(10, 1, 500_000.0), sample::run(1_000, 1, 400_000.0)];
        let flat = flatness(&runs, None);
        assert_eq!((flat.len(), flat[0].random_lines), (1, None));
        assert!(!text(None, &flat).contains("random"));
        runs[0].server.as_mut().unwrap().floor_cycles_per_connection = None;
        assert_eq!(flatness(&runs, Some(&sample::random_line())), []);
        assert_eq!(flatness(&runs[..1], Some(&sample::random_line())), []);
        assert_eq!(text(None, &[]), "");
    }
}
