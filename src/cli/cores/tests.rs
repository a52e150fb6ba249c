//! Every way to ask for cores, and every way to get it wrong.

use super::*;

fn ask(words: &[&str]) -> Result<Option<CoreRequest>, CoreError> {
    request(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

/// The request as `lcore@cpus` in order.
#[track_caller]
fn shown(words: &[&str]) -> String {
    let request = ask(words).unwrap().unwrap();
    request.lcores.iter().map(|(id, cpus)| format!("{id}@{cpus}")).collect::<Vec<_>>().join(" ")
}

fn set(text: &str) -> CpuSet {
    CpuSet::parse(text).unwrap()
}

#[test]
fn lists_are_read_and_written_as_the_kernel_does() {
    for text in ["0", "0-1", "0-3,8", "0,2,4-7"] {
        assert_eq!(set(&format!("{text}\n")).to_string(), text);
    }
    assert_eq!(set("3-1,2,9").to_string(), "1-3,9");
    for text in ["", "a", "1-", "-1", "1,,2", "0-99999999", "5000"] {
        assert!(CpuSet::parse(text).is_err(), "{text}");
    }
}

#[test]
fn every_way_to_ask_for_cores_is_understood() {
    assert_eq!(shown(&["-l", "0-2,5"]), "0@0 1@1 2@2 5@5");
    assert_eq!(shown(&["-l2,1"]), "1@1 2@2");
    assert_eq!(shown(&["-c", "0x13"]), "0@0 1@1 4@4");
    assert_eq!(shown(&["-c", "F"]), "0@0 1@1 2@2 3@3");
    assert_eq!(shown(&["--lcores", "(0-3)@(0-1)"]), "0@0-1 1@0-1 2@0-1 3@0-1");
    assert_eq!(shown(&["--lcores=0@0,1@1, 2@0"]), "0@0 1@1 2@0");
    assert_eq!(
        shown(&["--lcores", "1,2@(5-7),(3-5)@(0,2),(0,6),7-8"]),
        "0@0,6 1@1 2@5-7 3@0,2 4@0,2 5@0,2 6@0,6 7@7 8@8"
    );
    assert_eq!(shown(&["--lcores", "0-2@4"]), "0@4 1@4 2@4");
    assert_eq!(shown(&["-l", "(0-1)@0"]), "0@0 1@0");
    assert_eq!(ask(&["--no-huge", "--file-prefix", "-l"]), Ok(None));
}

#[test]
fn what_cannot_be_read_is_named() {
    for words in [
        ["-l", "abc"],
        ["-l", "0-"],
        ["-c", "xyz"],
        ["-c", "0x0"],
        ["-c", "0x"],
        ["--lcores", "(0-3@0"],
        ["--lcores", "0@"],
        ["--lcores", "@0"],
        ["--lcores", "0@0;1"],
        ["--lcores", "(0,1)(2)"],
        ["--lcores", ""],
    ] {
        let sentence = ask(&words).unwrap_err().to_string();
        assert!(sentence.contains(&format!("`{}`", words[1])) && sentence.contains("-l 0-1"), "{sentence}");
    }
}

#[test]
fn contradictions_are_named() {
    assert_eq!(ask(&["-l", "0", "-c", "1"]), Err(CoreError::Twice { first: "-l", second: "-c" }));
    assert_eq!(ask(&["-l", "0", "-l", "0"]), Err(CoreError::Twice { first: "-l", second: "-l" }));
    assert_eq!(ask(&["--lcores", "0@0,0@1"]), Err(CoreError::PlacedTwice(0)));
    let main = ask(&["-l", "0-1", "--main-lcore", "4"]).unwrap_err().to_string();
    assert!(main.contains("`--main-lcore 4`") && main.contains("0-1"), "{main}");
    assert!(ask(&["--main-lcore", "1", "-l", "0-1"]).is_ok());
}

#[test]
fn cpus_that_are_not_there_are_named_and_others_offered() {
    let check = |words: &[&str], online: &str| ask(words).unwrap().unwrap().check(&set(online));
    assert_eq!(check(&["-l", "0-1"], "0-1"), Ok(()));
    assert_eq!(check(&["--lcores", "(0-3)@(0-1)"], "0-1"), Ok(()));
    let sentence = check(&["-l", "0-3"], "0-1").unwrap_err().to_string();
    assert_eq!(
        sentence,
        "the cores ask for CPUs 2-3, but only CPUs 0-1 are online: use `-l 0-1`, or let them share with \
         `--lcores '(0-3)@(0-1)'`"
    );
    let sentence = check(&["-l", "9"], "0").unwrap_err().to_string();
    assert!(sentence.contains("CPU 9, but only CPU 0 is online: use `-l 0`"), "{sentence}");
    let sentence = check(&["-l", "200"], "0-255").unwrap_err().to_string();
    assert!(sentence.contains("--lcores '0@200'"), "{sentence}");
}
