//! `check`: a line a finding, OK or what to type, and a status that says whether all is well.

use crate::{Ended, run, split};

/// The lines about a subject.
fn about<'a>(ended: &'a Ended, subject: &str) -> Vec<&'a str> {
    ended.out.lines().filter(|line| line.split_whitespace().nth(1) == Some(subject)).collect()
}

#[track_caller]
fn check(line: &str) -> Ended {
    let ended = run(&split(line));
    assert_eq!(ended.err, "", "{}", ended.out);
    let mut mend = 0;
    for finding in ended.out.lines() {
        match finding.split_at(6) {
            ("OK    ", _) => {}
            ("MEND  ", rest) => {
                assert!(rest.contains(": "), "no cure: {finding}");
                mend += 1;
            }
            _ => panic!("neither OK nor MEND: {finding}"),
        }
    }
    assert_eq!(ended.status, Some(i32::from(mend > 0)), "{}", ended.out);
    ended
}

#[test]
fn what_would_start_is_all_right() {
    let ended = check("-l 0 --no-pci --no-huge -m 64 --vdev net_null0 -- check --max-connections 1000");
    assert_eq!(ended.status, Some(0), "{}", ended.out);
    for (subject, part) in [
        ("hugepages", "not used (--no-huge)"),
        ("port", "virtual device net_null0"),
        ("cores", "lcores 0 on CPUs 0"),
        ("memory", "1000 connections need "),
        ("permissions", "root"),
    ] {
        let found = about(&ended, subject);
        assert!(found.len() == 1 && found[0].contains(part), "{part}: {}", ended.out);
    }
}

#[test]
fn each_thing_that_is_missing_is_named_with_what_to_type() {
    for (line, subject, part) in [
        ("-l 0-1000 -- check", "cores", "use `-l 0"),
        ("-l abc -- check", "cores", "`abc` cannot be read as -l"),
        ("-l 0 --no-pci -- check", "port", "add --vdev net_tap0"),
        ("-l 0 --no-huge -m 64 -- check --max-connections 64M --buffers 1T", "memory", "--max-connections "),
        ("-l 0 --huge-dir /nowhere -- check", "hugetlbfs", "not mounted at /nowhere"),
    ] {
        let ended = check(line);
        let found = about(&ended, subject);
        assert!(
            found.iter().any(|line| line.starts_with("MEND") && line.contains(part)),
            "{line}: {}",
            ended.out
        );
        assert_eq!(ended.status, Some(1), "{line}");
    }
}

#[test]
fn without_any_word_but_the_command_the_machine_is_looked_at() {
    let ended = check("check");
    for subject in ["hugepages", "port", "cores", "memory"] {
        assert!(!about(&ended, subject).is_empty(), "{subject}: {}", ended.out);
    }
}
