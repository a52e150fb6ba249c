//! What streams carried: bits of text a second, beside a loop that only copies and sums them.

use super::figures::per;
use super::run::{Account, Stream};

/// By the accounts of both sides in the measured time, the client's first, each with the seconds that it was measured
/// for. Where the server is none of ours, what it was sent counts in place of what it received.
pub(super) fn figures(
    client: (&Account, f64),
    server: Option<(&Account, f64)>,
    copied_bits_per_second: Option<f64>,
) -> Stream {
    let rate = |octets: u64, seconds: f64| per(8.0 * octets as f64, seconds);
    let up = match server {
        Some((account, seconds)) => rate(account.octets_received, seconds),
        None => rate(client.0.octets_sent, client.1),
    };
    let bits_per_second = up + rate(client.0.octets_received, client.1);
    let copied = copied_bits_per_second.filter(|copied| *copied > 0.0);
    let ratio_to_copies = copied.map(|copied| bits_per_second / copied);
    Stream { bits_per_second, copied_bits_per_second: copied, ratio_to_copies }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(octets_sent: u64, octets_received: u64) -> Account {
        Account { octets_sent, octets_received, ..Account::default() }
    }

    #[test]
    fn what_arrived_counts_both_ways() {
        let (client, server) = (account(9_000, 500), account(600, 4_000));
        let stream = figures((&client, 1.0), Some((&server, 2.0)), Some(40_000.0));
        assert_eq!(stream.bits_per_second, 8.0 * (500.0 + 2_000.0));
        assert_eq!((stream.copied_bits_per_second, stream.ratio_to_copies), (Some(40_000.0), Some(0.5)));
    }

    #[test]
    fn to_a_server_that_is_none_of_ours_what_was_sent_counts() {
        let stream = figures((&account(9_000, 500), 0.5), None, None);
        assert_eq!(stream.bits_per_second, 8.0 * 2.0 * 9_500.0);
        assert_eq!((stream.copied_bits_per_second, stream.ratio_to_copies), (None, None));
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let stream = figures((&account(1, 1), 0.0), None, Some(0.0));
        assert_eq!(stream, Stream::default());
    }
}
