//! What the services count for the report. One writer, the loop that owns the services; any number of
//! readers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Service;
use super::http::request::Status;

/// The counts of one loop's services, on lines of their own so that readers do not slow the neighbours down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    opened: [AtomicU64; Service::ALL.len()],
    answered: [AtomicU64; Status::ALL.len()],
}

/// A single writer needs no locked addition.
fn bump(cell: Option<&AtomicU64>) {
    if let Some(cell) = cell {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Tally {
    /// Counts a connection to a service.
    pub(super) fn opened_one(&self, service: Service) {
        bump(self.opened.get(service as usize));
    }

    /// Counts an answer of http.
    pub(super) fn answered_one(&self, status: Status) {
        bump(self.answered.get(status as usize));
    }

    /// Connections to a service so far.
    pub fn opened(&self, service: Service) -> u64 {
        self.opened[service as usize].load(Ordering::Relaxed)
    }

    /// Answers of http with this status so far.
    pub fn answered(&self, status: Status) -> u64 {
        self.answered[status as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_and_every_status_has_a_count_of_its_own() {
        let tally = Tally::default();
        for (n, service) in Service::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| tally.opened_one(service));
        }
        for (n, status) in Status::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| tally.answered_one(status));
        }
        assert_eq!(Service::ALL.map(|service| tally.opened(service)), [1, 2, 3, 4, 5]);
        assert_eq!(Status::ALL.map(|status| tally.answered(status)), [1, 2, 3, 4, 5]);
    }
}
