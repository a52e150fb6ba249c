//! EAL's failures end as one sentence, and nothing else reaches the terminal.

use dpdk_tcp::dpdk::eal::Eal;

use crate::child;

/// The sentence with which EAL fails. Also prints it, for the look at the terminal.
#[track_caller]
fn refused(options: Vec<String>) -> String {
    let sentence = Eal::init(options).err().unwrap().to_string();
    assert!(!sentence.contains('\n'), "{sentence}");
    println!("SENTENCE {sentence}");
    sentence
}

/// Nothing of EAL's own was printed, but what the test printed afterwards was.
#[track_caller]
fn is_quiet(output: Option<String>) {
    let Some(output) = output else { return };
    assert!(output.contains("SENTENCE "), "{output}");
    for line in output.lines().filter(|line| !line.contains("SENTENCE ")) {
        assert!(!line.contains("EAL") && !line.contains("Usage"), "{output}");
    }
}

#[test]
fn an_unknown_driver_is_named() {
    is_quiet(child::run("errors::an_unknown_driver_is_named", || {
        let sentence = refused(child::options(&["-l", "0", "--vdev", "net_nope"]));
        assert!(sentence.starts_with("no driver takes the device `net_nope`"), "{sentence}");
    }));
}

#[test]
fn a_device_whose_probe_fails_is_named_with_its_drivers_words() {
    is_quiet(child::run("errors::a_device_whose_probe_fails_is_named_with_its_drivers_words", || {
        let vdevs = ["--vdev", "net_null0", "--vdev=net_af_packet0,iface=absent77", "--vdev", "net_null1"];
        let sentence = refused(child::options(&[&["-l", "0"], &vdevs[..]].concat()));
        assert!(sentence.starts_with("the device `net_af_packet0` did not appear ("), "{sentence}");
        assert!(!sentence.contains("no reason"), "{sentence}");
        let again = refused(child::options(&["-l", "0"]));
        assert!(again.contains("only once"), "{again}");
    }));
}

#[test]
fn a_wrong_vdev_argument_is_named() {
    is_quiet(child::run("errors::a_wrong_vdev_argument_is_named", || {
        let sentence = refused(child::options(&["-l", "0", "--vdev", "net_null0,nonsense=1"]));
        assert!(sentence.starts_with("the device `net_null0` did not appear ("), "{sentence}");
    }));
}

#[test]
fn an_option_that_eal_does_not_know_is_named() {
    is_quiet(child::run("errors::an_option_that_eal_does_not_know_is_named", || {
        let sentence = refused(child::options(&["-l", "0", "--listen", "7=echo"]));
        assert!(sentence.contains("`--listen`") && sentence.contains("after `--`"), "{sentence}");
    }));
}

#[test]
fn a_wrong_value_is_told_in_eals_words() {
    is_quiet(child::run("errors::a_wrong_value_is_told_in_eals_words", || {
        let sentence = refused(child::options(&["-l", "0", "--iova-mode", "xy"]));
        assert!(sentence.contains("refuses its options") && sentence.contains("iova"), "{sentence}");
    }));
}

#[test]
fn a_core_that_is_not_there_is_named() {
    is_quiet(child::run("errors::a_core_that_is_not_there_is_named", || {
        let sentence = refused(child::options(&["-l", "120-121"]));
        assert!(sentence.contains("refuses the core list") && sentence.contains("`-l 0`"), "{sentence}");
    }));
}

#[test]
fn words_that_eal_does_not_use_are_refused() {
    is_quiet(child::run("errors::words_that_eal_does_not_use_are_refused", || {
        let sentence = refused(child::options(&["-l", "0", "serve"]));
        assert!(sentence.contains("`serve`") && sentence.contains("`--`"), "{sentence}");
    }));
}

#[test]
fn hugepages_that_cannot_be_had_are_told_with_their_cure() {
    is_quiet(child::run("errors::hugepages_that_cannot_be_had_are_told_with_their_cure", || {
        let words = ["--no-pci", "--no-telemetry", "-l", "0", "--no-shconf", "--huge-dir", "/nowhere"];
        let sentence = refused(words.map(str::to_owned).to_vec());
        assert!(sentence.contains("hugepages") && sentence.contains("scripts/hugepages"), "{sentence}");
    }));
}

#[test]
fn the_log_is_shown_to_those_who_ask_for_it() {
    let output = child::run("errors::the_log_is_shown_to_those_who_ask_for_it", || {
        refused(child::options(&["-l", "0", "--log-level", "*:debug", "--vdev", "net_nope"]));
    });
    assert!(output.is_none_or(|output| output.contains("EAL: Unable to parse device 'net_nope'")));
}

#[test]
fn a_zero_byte_in_an_option_is_refused_before_anything_starts() {
    child::run("errors::a_zero_byte_in_an_option_is_refused_before_anything_starts", || {
        assert!(refused(vec!["-l\0".to_owned()]).contains("zero byte"));
        child::eal(&["-l", "0"]).cleanup().unwrap();
    });
}
