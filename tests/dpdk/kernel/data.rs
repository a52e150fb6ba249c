//! Data in both directions: complete, in order, whatever the peer's buffers are and however slowly it reads.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::{CHARGEN, DISCARD, ECHO, Text, connect, echo, expect_end};
use crate::lab::{self, server};
use crate::socket::Dial;

#[test]
fn ten_megabytes_come_back_from_echo_on_each_of_several_connections() {
    lab::in_namespace(
        "kernel::data::ten_megabytes_come_back_from_echo_on_each_of_several_connections",
        || {
            const LEN: usize = 10_000_000;
            let program = lab::serve(&[]);
            thread::scope(|scope| {
                for number in 0..4 {
                    scope.spawn(move || echo(&connect(ECHO), number, LEN));
                }
            });
            let ended = program.stop();
            assert_eq!(ended.count("octets_received"), 4 * LEN as u64);
            assert_eq!(ended.count("octets_acked"), 4 * LEN as u64);
            assert_eq!((ended.count("established"), ended.count("finished")), (4, 4));
        },
    );
}

#[test]
fn the_kernel_gets_the_same_whether_the_port_cuts_segments_or_not() {
    //= OFF-2
    lab::in_namespace("kernel::data::the_kernel_gets_the_same_whether_the_port_cuts_segments_or_not", || {
        const LEN: usize = 20_000_000;
        for (words, cuts) in [(&[][..], true), (&["--no-tso"], false)] {
            let program = lab::serve(words);
            echo(&connect(ECHO), 5, LEN);
            let ended = program.stop();
            assert_eq!(ended.count("octets_acked"), LEN as u64);
            assert_eq!(
                ended.count("large_segments") > 100,
                cuts,
                "{words:?}: {}",
                ended.count("large_segments")
            );
            assert!(ended.count("retransmissions") < 50, "{words:?}");
        }
    });
}

#[test]
fn every_size_of_a_write_comes_back_whole() {
    lab::in_namespace("kernel::data::every_size_of_a_write_comes_back_whole", || {
        let program = lab::serve(&[]);
        let mut stream = connect(ECHO);
        stream.set_nodelay(true).unwrap();
        let text = Text::new(9);
        let sizes =
            (1..40).chain(1_440..1_470).chain([2_896, 2_897, 9_999, 65_535, 65_536, 262_144, 300_001]);
        for size in sizes {
            text.send(&stream, size);
            text.expect(&stream, size);
        }
        stream.write_all(b"x").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"x");
        assert_eq!(program.stop().count("finished"), 1);
    });
}

#[test]
fn a_peer_may_close_its_direction_and_read_to_the_end() {
    //= MAY-1
    lab::in_namespace("kernel::data::a_peer_may_close_its_direction_and_read_to_the_end", || {
        let program = lab::serve(&[]);
        for len in [0, 1, 1_460, 300_000] {
            let (stream, text) = (connect(ECHO), Text::new(1));
            // All is written and the FIN is out before anything is read.
            thread::scope(|scope| {
                scope.spawn(|| {
                    text.send(&stream, len);
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                thread::sleep(Duration::from_millis(50));
                text.expect(&stream, len);
                expect_end(&stream);
            });
        }
        assert_eq!(program.stop().count("finished"), 4);
    });
}

#[test]
fn a_program_that_closed_first_takes_what_the_peer_still_sends() {
    lab::in_namespace("kernel::data::a_program_that_closed_first_takes_what_the_peer_still_sends", || {
        let program = lab::serve(&["--http-body", "0"]);
        let mut stream = connect(super::HTTP);
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        // Its FIN is here. Ours comes only after a lot of data that it did not ask for, and that it takes.
        Text::new(2).send(&stream, 1_000_000);
        stream.shutdown(Shutdown::Write).unwrap();
        expect_end(&stream);
        drop(stream);
        let ended = program.stop();
        assert_eq!((ended.count("finished"), ended.count("aborted"), ended.count("rst_sent")), (1, 0, 0));
    });
}

#[test]
fn discard_takes_everything_and_says_nothing() {
    lab::in_namespace("kernel::data::discard_takes_everything_and_says_nothing", || {
        const LEN: usize = 20_000_000;
        let program = lab::serve(&[]);
        let stream = connect(DISCARD);
        Text::new(3).send(&stream, LEN);
        stream.shutdown(Shutdown::Write).unwrap();
        expect_end(&stream);
        assert_eq!(program.stop().count("octets_received"), LEN as u64);
    });
}

/// The octet of RFC 864's text at this place.
pub fn character(at: usize) -> u8 {
    match at % 74 {
        72 => b'\r',
        73 => b'\n',
        column => b' ' + ((at / 74 + column) % 95) as u8,
    }
}

/// Reads `len` octets of chargen's, from the beginning.
#[track_caller]
fn expect_characters(mut from: &TcpStream, len: usize) {
    let mut text = vec![0; len];
    from.read_exact(&mut text).unwrap();
    let wrong = (0..len).find(|at| text[*at] != character(*at));
    assert_eq!(wrong, None, "not RFC 864's text from here on");
}

#[test]
fn chargen_sends_the_text_of_its_rfc_while_the_peer_sends_too() {
    lab::in_namespace("kernel::data::chargen_sends_the_text_of_its_rfc_while_the_peer_sends_too", || {
        let program = lab::serve(&[]);
        let stream = connect(CHARGEN);
        thread::scope(|scope| {
            scope.spawn(|| Text::new(4).send(&stream, 5_000_000));
            expect_characters(&stream, 5_000_000);
        });
        // There is always more to read, so that the kernel resets when nobody reads any more.
        drop(stream);
        let mut ends = connect(CHARGEN);
        ends.shutdown(Shutdown::Write).unwrap();
        let mut text = Vec::new();
        ends.read_to_end(&mut text).unwrap();
        assert!(text.iter().enumerate().all(|(at, octet)| *octet == character(at)));
        let ended = program.stop();
        assert_eq!((ended.count("reset_by_peer"), ended.count("finished")), (1, 1));
        assert_eq!(ended.count("octets_received"), 5_000_000);
    });
}

#[test]
fn a_reader_that_sleeps_for_seconds_finds_everything_afterwards() {
    //= MUST-36
    lab::in_namespace("kernel::data::a_reader_that_sleeps_for_seconds_finds_everything_afterwards", || {
        let program = lab::serve(&[]);
        let dial = Dial { receive_buffer: Some(8_192), ..Dial::default() };
        let generated = dial.connect(server(CHARGEN)).unwrap();
        let echoed = dial.connect(server(ECHO)).unwrap();
        let text = Text::new(5);
        thread::scope(|scope| {
            scope.spawn(|| {
                text.send(&echoed, 3_000_000);
                echoed.shutdown(Shutdown::Write).unwrap();
            });
            // Longer than the first probe's timeout.
            thread::sleep(Duration::from_millis(3_500));
            text.expect(&echoed, 3_000_000);
            expect_end(&echoed);
        });
        expect_characters(&generated, 3_000_000);
        drop((generated, echoed));
        let ended = program.stop();
        assert!(ended.count("zero_window_probes") > 0, "{}", ended.out);
        assert_eq!(ended.count("timed_out"), 0);
    });
}

#[test]
fn a_peer_with_small_buffers_is_served_as_well() {
    lab::in_namespace("kernel::data::a_peer_with_small_buffers_is_served_as_well", || {
        let program = lab::serve(&[]);
        thread::scope(|scope| {
            for (number, receive, send) in
                [(1, Some(2_304), None), (2, None, Some(4_608)), (3, Some(4_000), Some(9_000))]
            {
                scope.spawn(move || {
                    let dial = Dial { receive_buffer: receive, send_buffer: send, ..Dial::default() };
                    echo(&dial.connect(server(ECHO)).unwrap(), number, 200_000);
                });
            }
        });
        assert_eq!(program.stop().count("finished"), 3);
    });
}

#[test]
fn a_peer_that_stops_in_the_middle_of_its_data_is_reset_or_resets() {
    lab::in_namespace("kernel::data::a_peer_that_stops_in_the_middle_of_its_data_is_reset_or_resets", || {
        let program = lab::serve(&[]);
        for number in 0..20 {
            let stream = connect(ECHO);
            Text::new(number).send(&stream, 100_000);
            // Echoes that nobody has read: the kernel resets.
            drop(stream);
        }
        // A connection that is not concerned.
        echo(&connect(ECHO), 7, 100_000);
        let late = connect(CHARGEN);
        program.signal(libc::SIGTERM);
        // Its FIN comes behind what is queued, which is more than this peer takes.
        thread::sleep(Duration::from_millis(200));
        let ended = {
            drop(late);
            program.end()
        };
        ended.assert_clean();
        assert_eq!(ended.count("reset_by_peer") + ended.count("aborted"), 21, "{}", ended.out);
    });
}
