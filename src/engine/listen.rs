//! The OPEN call, passive (RFC 9293 3.9.1.1), and CLOSE of what it opened: listeners come and go while the loop runs,
//! within the memory that was taken for them.

use std::net::IpAddr;

use super::api::{Accept, Api, App, ConnId, ListenerId};
use super::limits::OFFERS_MAX;
use super::shard::{Listening, Shard};
use super::slot::{Origin, Owner};
use super::slots::{Known, Slots};
use crate::base::ids::LocalIdx;
use crate::flow::listeners::ListenError;
use crate::tcp::arrives::listen::Listener;
use crate::tcp::settings::Settings;

impl Shard {
    /// Listens on a port, on one address or (`None`) on all.
    ///
    /// # Errors
    /// The endpoint is taken, the port is 0, or no memory was taken for one more listener
    /// ([`super::limits::Limits::listeners`]).
    pub fn listen(&mut self, local: Option<LocalIdx>, port: u16) -> Result<ListenerId, ListenError> {
        self.listen_with(local, port, self.cfg.settings)
    }

    /// As [`Shard::listen`]; the connections that it accepts start with `settings`. Of 256 different settings, those of all
    /// listeners and openers so far, connections can rest in brief; with further ones they take more memory.
    ///
    /// # Errors
    /// As [`Shard::listen`].
    pub fn listen_with(
        &mut self,
        local: Option<LocalIdx>,
        port: u16,
        settings: Settings,
    ) -> Result<ListenerId, ListenError> {
        //= CALL-1
        //= MUST-41
        let forgotten =
            |one: &Listening| !one.queues.open && one.queues.half_open == 0 && one.queues.waiting == 0;
        let reused = self.listening.iter().position(forgotten).map(|number| number as u16);
        let number = self.listeners.add(local, port, reused)?;
        let known = self.slots.known(&settings, Known::DEFAULT);
        let queues = Listener {
            half_open: 0,
            half_open_max: self.limits.half_open_per_listener(),
            waiting: 0,
            backlog: self.limits.backlog,
            open: true,
            cookies: self.limits.syn_cookies,
            pressed: false,
            cookie_sent: None,
        };
        match self.listening.get_mut(usize::from(number)) {
            Some(old) => {
                old.waiting.clear();
                (old.queues, old.settings, old.known) = (queues, settings, known);
            }
            None => {
                let waiting = self.spare_queues.pop().unwrap_or_default();
                self.listening.push(Listening { queues, settings, known, waiting });
            }
        }
        Ok(ListenerId(number))
    }

    /// CLOSE of a listener: its port is closed. The connections that came through it go on.
    fn close_listener(&mut self, listener: ListenerId) {
        //= CALL-5
        if let Some(listening) = self.listening.get_mut(usize::from(listener.0)).filter(|one| one.queues.open)
        {
            listening.queues.open = false;
            self.listeners.remove(listener.0);
        }
    }

    /// Offers the connections that wait to the application again, oldest first, until it wants no more; so many in one
    /// pass, and each listener first in its turn.
    pub(super) fn offer_waiting<A: App>(&mut self, app: &mut A) {
        //= LIM-13
        let all = self.listening.len();
        let mut left = OFFERS_MAX;
        for step in 0..all {
            let number = (self.offer_from + step) % all;
            if !self.offer_of(app, number, &mut left) {
                self.offer_from = number;
                return;
            }
        }
    }

    /// Offers what waits at one listener. False when there was too much for this pass.
    fn offer_of<A: App>(&mut self, app: &mut A, number: usize, left: &mut usize) -> bool {
        let listener = ListenerId(number as u16);
        while let Some(id) = self.listening.get(number).and_then(|l| l.waiting.front().copied()) {
            let Some(rest) = left.checked_sub(1) else { return false };
            *left = rest;
            if is_waiting(&self.slots, id) {
                let answer = self.offer(app, id.index, listener);
                self.after_callbacks(app, id.index);
                if answer == Accept::Later && is_waiting(&self.slots, id) {
                    break;
                }
            }
            if let Some(listening) = self.listening.get_mut(number) {
                listening.waiting.pop_front();
            }
        }
        true
    }

    /// A connection that came through a listener is ESTABLISHED: its address has one more.
    pub(super) fn count_address(&mut self, index: u32) {
        if let Some(form) = self.slots.form(index)
            && matches!(form.origin(), Origin::Listener(_))
            && form.owner() != Owner::Nobody
            && let Some(key) = self.slots.key(index)
        {
            self.per_address.add(key.remote);
        }
    }
}

impl Api<'_> {
    /// Listens on a port (the OPEN call, passive), on one address of ours or (`None`) on all. Connections that there are
    /// on that port go on (MUST-41); those that it accepts start with `settings`, or the stack's own.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(
        &mut self,
        local: Option<IpAddr>,
        port: u16,
        settings: Option<Settings>,
    ) -> Result<ListenerId, ListenError> {
        let found = match local {
            None => None,
            Some(wanted) => {
                let own = match wanted {
                    IpAddr::V4(v4) => self.shard.locals.find_v4(v4.octets()),
                    IpAddr::V6(_) => None,
                };
                Some(own.ok_or(ListenError::NotOurs(wanted))?)
            }
        };
        let settings = settings.unwrap_or(self.shard.cfg.settings);
        self.shard.listen_with(found, port, settings)
    }

    /// Stops listening (the CLOSE call of a listener). What came through it goes on, also what waits to be taken.
    pub fn stop_listening(&mut self, listener: ListenerId) {
        self.shard.close_listener(listener);
    }
}

/// The connection waits in its accept queue.
pub(super) fn is_waiting(slots: &Slots, id: ConnId) -> bool {
    slots.generation(id.index) == Some(id.generation) && slots.owner(id.index) == Some(Owner::Waiting)
}
