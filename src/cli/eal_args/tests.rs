//! The two parts of the command line, however they are written.

use super::*;

const COMMANDS: &[&str] = &["serve", "check"];

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn parse(line: &str) -> Result<Words, SplitError> {
    split(&words(line), COMMANDS)
}

#[track_caller]
fn splits(line: &str, eal: &str, ours: &str) {
    assert_eq!(parse(line), Ok(Words::Split { eal: words(eal), ours: words(ours) }), "{line}");
}

#[test]
fn what_stands_before_the_dashes_is_eals() {
    splits("", "", "");
    splits("-l 0-3", "-l 0-3", "");
    splits("-l 0-3 --", "-l 0-3", "");
    splits("-- serve --mtu 1400", "", "serve --mtu 1400");
    splits(
        "-l 0 --vdev net_tap0,iface=x -- --listen 7=echo",
        "-l 0 --vdev net_tap0,iface=x",
        "--listen 7=echo",
    );
    splits("-l 0 -- check -- x", "-l 0", "check -- x");
    splits("-l 0 -- --help", "-l 0", "--help");
}

#[test]
fn a_command_in_the_first_place_needs_no_dashes() {
    for line in ["check", "serve --mtu 1400", "serve --help", "serve -- x"] {
        assert_eq!(parse(line), Ok(Words::OursOnly(words(line))));
    }
}

#[test]
fn a_command_among_eals_options_is_refused() {
    for line in ["-l 0 serve", "-v serve", "--no-huge serve --mtu 9", "--vdev=x serve -- check", "-l0 serve"]
    {
        assert_eq!(parse(line), Err(SplitError::CommandAmongEal("serve".to_owned())), "{line}");
    }
    let sentence = parse("-l 0 check").unwrap_err().to_string();
    assert!(sentence.contains("`--` is missing") && sentence.contains("`-- check`"), "{sentence}");
}

#[test]
fn the_value_of_an_option_is_not_a_command() {
    for eal in [
        "--file-prefix serve",
        "-l 0 --vdev check",
        "--file-pre serve",
        "-vl serve",
        "-d check -n 4",
        "--huge-unlink=serve",
        "--log-level check -l serve",
    ] {
        splits(eal, eal, "");
    }
    // Optional values stand in the same word, so that this is a command.
    assert!(parse("--huge-unlink serve").is_err());
}

#[test]
fn an_option_of_a_later_dpdk_is_left_to_eal() {
    splits("--some-new-option serve -l 0", "--some-new-option serve -l 0", "");
    splits("-x serve -l 0", "-x serve -l 0", "");
    splits("--some-new-option=1 -- serve", "--some-new-option=1", "serve");
    assert!(parse("--some-new-option=1 serve").is_err());
    assert!(parse("--some-new-option -l 0 serve").is_err());
}

#[test]
fn other_words_are_refused_with_the_commands() {
    let sentence = parse("sevre --mtu 1400").unwrap_err().to_string();
    assert!(sentence.contains("`sevre`") && sentence.contains("serve, check"), "{sentence}");
    assert!(parse("-l 0 1").is_err());
    assert!(parse("-").is_err());
}

#[test]
fn help_and_version_are_ours_wherever_they_stand() {
    for line in
        ["--help", "-h", "-l 0 --help", "-l 0 -h -- serve", "-vh", "--hel", "serv --help", "-l 0 serve -h"]
    {
        assert_eq!(parse(line), Ok(Words::Help), "{line}");
    }
    for line in ["--version", "-V", "-l 0 --version -- serve", "--vers"] {
        assert_eq!(parse(line), Ok(Words::Version), "{line}");
    }
    // Where they are the value of an option they are nothing else.
    splits("--file-prefix --help", "--file-prefix --help", "");
    // EAL's own -v shows DPDK's version when it starts.
    splits("-v -l 0", "-v -l 0", "");
}

#[test]
fn a_missing_value_is_named() {
    for (line, option) in
        [("-l", "`-l`"), ("-l -- serve", "`-l`"), ("-l 0 --vdev", "`--vdev`"), ("-vl", "`-l`")]
    {
        let sentence = parse(line).unwrap_err().to_string();
        assert!(sentence.contains(option), "{line}: {sentence}");
    }
}

#[test]
fn options_are_found_however_they_are_written() {
    let line = words("-vl0-3 --lc 0@1 --vdev=a,b=c --no-huge -m 64 --unknown x --vdev d");
    let found = options(&line);
    let wanted = [
        ("v", None),
        ("l", Some("0-3")),
        ("lcores", Some("0@1")),
        ("vdev", Some("a,b=c")),
        ("no-huge", None),
        ("m", Some("64")),
        ("vdev", Some("d")),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn what_eal_refuses_in_words_about_something_else_is_refused_here() {
    for line in ["--no-huge --in-memory", "-l 0 --in-mem --no-hu -- --dad"] {
        let error = split(&words(line), COMMANDS).unwrap_err();
        assert!(error.to_string().contains("leave out `--in-memory`"), "{error}");
    }
}
